/** Ends the process on items that say so, after `ms`, as a fault in native code would. */
exports.handler = ({ defineHandler, z }) =>
  defineHandler({
    name: 'crash',
    description: 'Ends the process where the item says so.',
    input: z.object({ n: z.number(), ms: z.number().default(0), crash: z.boolean().default(false) }),
    async run({ input }) {
      if (input.ms > 0) await new Promise((resolve) => setTimeout(resolve, input.ms));
      if (input.crash) process.kill(process.pid, 'SIGKILL');
      return { n: input.n };
    },
  });
