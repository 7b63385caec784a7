/** How an application of a test recognises keys: as the API does, but with nobody to tell it of changes. */
import { createClientAddress } from '../../src/api/access/client-address';
import { createKeyCache } from '../../src/api/access/key-cache';
import type { KeyLookup } from '../../src/api/access/ports';
import { createKeyMint } from '../../src/platform/secrets/key-mint';

export function recognising(findByHash: KeyLookup['findByHash']) {
  const monotonicMs = (): number => performance.now();
  return {
    clientAddress: createClientAddress([]),
    keys: createKeyCache({
      lookup: { findByHash },
      knownUntil: () => Number.NEGATIVE_INFINITY,
      monotonicMs,
    }),
    hashKey: createKeyMint().hashText,
    tickets: { redeem: async () => undefined },
    failures: {
      blocked: async () => undefined,
      lookUpBlocked: async () => undefined,
      failed: async () => undefined,
    },
  };
}
