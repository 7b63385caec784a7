/** As tick, but tells `log` when each item begins and ends. */
const { appendFileSync } = require('node:fs');

exports.handler = ({ defineHandler, z }) =>
  defineHandler({
    name: 'clocked',
    description: 'Waits, then answers n; writes down when.',
    input: z.object({ n: z.number(), ms: z.number().default(0), log: z.string() }),
    async run({ input }, ctx) {
      const tell = (what) => appendFileSync(input.log, `${what} ${input.n} ${Date.now()}\n`);
      tell('begin');
      try {
        await new Promise((resolve, reject) => {
          const timer = setTimeout(resolve, input.ms);
          ctx.signal.addEventListener('abort', () => {
            clearTimeout(timer);
            reject(ctx.signal.reason);
          });
        });
      } finally {
        tell('end');
      }
      return { n: input.n };
    },
  });
