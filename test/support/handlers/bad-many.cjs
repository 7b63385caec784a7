/** Answers for ten items per call, for each as it says. */
exports.handler = ({ defineHandler, ItemFailure, z }) =>
  defineHandler({
    name: 'bad-many',
    description: 'Answers for many items per call, for each as it says.',
    input: z.object({ n: z.number(), how: z.string().default('well') }),
    output: z.object({ n: z.number() }),
    batchSize: 10,
    runMany(items) {
      if (items.some(({ input }) => input.how === 'throw')) throw new Error('no luck with this call');
      return items.map(({ input }) => {
        if (input.how === 'fail')
          return { error: new ItemFailure('out_of_stock', 'There is none.', { retryable: false }) };
        if (input.how === 'wrong-shape') return { output: { n: 'seven' } };
        return input.how === 'silent' ? undefined : { output: { n: input.n } };
      });
    },
  });
