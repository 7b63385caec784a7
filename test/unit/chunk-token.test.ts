import { newId } from '../../src/platform/clock';
import type { ChunkGrant } from '../../src/domain/handler/remote';
import { createChunkTokens } from '../../src/platform/secrets/chunk-token';

const key = (n: number): Buffer => Buffer.alloc(32, n);
const grant: ChunkGrant = {
  tenantId: newId('tenant'),
  jobId: newId('job'),
  no: 4_000_000_000,
  lane: 63,
  lanes: 4,
  clockAheadMs: -1_234.5,
  expiresAt: new Date('2026-03-01T12:00:00Z'),
};

describe('the token of a chunk', () => {
  test('says what it grants, to whoever has one of the keys', () => {
    const token = createChunkTokens([key(1)]).sign(grant);
    for (const keys of [[key(1)], [key(2), key(1)]])
      expect(createChunkTokens(keys).verify(token)).toEqual(grant);
    expect(createChunkTokens([key(2)]).verify(token)).toBeUndefined();
  });

  test('is signed under the first key', () => {
    const token = createChunkTokens([key(1), key(2)]).sign(grant);
    expect(createChunkTokens([key(2)]).verify(token)).toBeUndefined();
  });

  test('does not verify with any of its bits changed', () => {
    const tokens = createChunkTokens([key(1)]);
    const bytes = Buffer.from(tokens.sign(grant).slice('mct_'.length), 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(tokens.verify(`mct_${changed.toString('base64url')}`)).toBeUndefined();
    }
  });

  test.each(['', 'mct_', `mct_${'A'.repeat(114)}`, 'mrk_abc', `${'x'.repeat(1_000_000)}`])(
    'is not %#, whatever that is',
    (text) => {
      expect(createChunkTokens([key(1)]).verify(text)).toBeUndefined();
    },
  );

  test('is short enough to stand in a history many times', () => {
    expect(createChunkTokens([key(1)]).sign(grant).length).toBeLessThan(120);
  });
});
