import type { ChunkFixture, RouteFixtures } from './fixture';
import type { Lent } from './world';

const onChunk = (more: (lent: Lent) => object, claimed = true): ChunkFixture => ({
  asks: 'chunkToken',
  request: async (owner) => {
    const lent = await owner.lend();
    const headers = claimed ? { 'Millrace-Epoch': String(await lent.claim()) } : {};
    return { path: { id: lent.jobId, no: '0' }, token: lent.token, headers, ...more(lent) };
  },
});

export const chunkFixtures: RouteFixtures = {
  claimChunk: onChunk(() => ({}), false),
  releaseChunk: onChunk(() => ({})),
  getChunkItems: onChunk(() => ({})),
  postChunkResults: onChunk(() => ({
    body: `${JSON.stringify({ index: 0, attempt: 1, output: { n: 1 } })}\n`,
    contentType: 'application/x-ndjson',
  })),
};
