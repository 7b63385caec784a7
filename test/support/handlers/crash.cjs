/** Ends the process on items that say so, as a fault in native code would. */
exports.handler = ({ defineHandler, z }) =>
  defineHandler({
    name: 'crash',
    description: 'Ends the process where the item says so.',
    input: z.object({ n: z.number(), crash: z.boolean().default(false) }),
    async run({ input }) {
      if (input.crash) process.kill(process.pid, 'SIGKILL');
      return { n: input.n };
    },
  });
