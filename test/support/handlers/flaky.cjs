/** Waits `ms`, fails until the attempt that the item names, and appends a line to `log` at each attempt. */
const { appendFileSync } = require('node:fs');

exports.handler = ({ defineHandler, z }) =>
  defineHandler({
    name: 'flaky',
    description: 'Succeeds at the attempt that the item names.',
    input: z.object({
      n: z.number(),
      good_at: z.number(),
      ms: z.number().default(0),
      log: z.string().optional(),
    }),
    async run({ input }, ctx) {
      if (input.log !== undefined) appendFileSync(input.log, `${input.n}\n`);
      if (input.ms > 0) await new Promise((resolve) => setTimeout(resolve, input.ms));
      if (ctx.attempt < input.good_at) throw new Error(`not at attempt ${ctx.attempt}`);
      return { n: input.n, attempt: ctx.attempt };
    },
  });
