/** Misbehaves as the item's `how` says. */
const WAYS = {
  well: ({ n }) => ({ n }),
  throw: () => {
    throw new Error('no luck');
  },
  reject: async () => {
    await null;
    throw new TypeError('no luck, later');
  },
  'throw-nothing': () => {
    throw undefined;
  },
  bigint: () => 1n,
  circle: () => {
    const circle = [];
    circle.push(circle);
    return circle;
  },
  function: () => ({ f: () => 1 }),
  large: () => 'x'.repeat(10_000_000),
  nul: () => ({ text: 'a\u0000b' }),
  'wrong-shape': () => ({ n: 'seven' }),
  never: () => new Promise(() => {}),
  deaf: () => new Promise((resolve) => setTimeout(() => resolve({ n: -1 }), 5_000)),
  'throw-later': () =>
    new Promise(() => {
      setTimeout(() => {
        throw new Error('nobody catches this');
      }, 1);
    }),
};

exports.handler = ({ defineHandler, z }) =>
  defineHandler({
    name: 'bad',
    description: 'Misbehaves as the item says.',
    input: z.object({ n: z.number(), how: z.enum(Object.keys(WAYS)).default('well') }),
    output: z.union([
      z.object({ n: z.number() }),
      z.object({ text: z.string() }),
      z.object({ f: z.any() }),
      z.string(),
      z.bigint(),
      z.array(z.any()),
    ]),
    run: ({ input }) => WAYS[input.how](input),
  });
