/** Never yields on items that say so. */
exports.handler = ({ defineHandler, z }) =>
  defineHandler({
    name: 'spin',
    description: 'Loops for ever where the item says so.',
    input: z.object({ n: z.number(), spin: z.boolean().default(false) }),
    async run({ input }) {
      while (input.spin);
      return { n: input.n };
    },
  });
