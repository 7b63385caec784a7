/** Waits `ms`, then answers the item's `n`; each execution can be told by the line it appends to `log`. */
const { appendFileSync } = require('node:fs');

exports.handler = ({ defineHandler, z }) =>
  defineHandler({
    name: 'tick',
    description: 'Waits, then answers n.',
    input: z.object({ n: z.number(), ms: z.number().default(0), log: z.string().optional() }),
    async run({ input }, ctx) {
      if (input.log !== undefined) appendFileSync(input.log, `${input.n}\n`);
      await new Promise((resolve, reject) => {
        const timer = setTimeout(resolve, input.ms);
        ctx.signal.addEventListener('abort', () => {
          clearTimeout(timer);
          reject(ctx.signal.reason);
        });
      });
      return { n: input.n };
    },
  });
