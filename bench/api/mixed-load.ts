import autocannon from 'autocannon';
import { serveRemote } from '../frame/serve-remote';
import type { Target } from './target';
import { unknownKeys } from './unknown-keys';

export interface MixedLoadRequest {
  readonly target: Target;
  readonly connections: number;
  readonly requestCount: number;
  readonly keyCount: number;
}

/** Answers by their status. */
export type MixedLoad = Readonly<Record<string, number>>;

/** Every other request has the good key, the others go through the unknown ones in turn. */
serveRemote(async ({ target, connections, requestCount, keyCount }: MixedLoadRequest): Promise<MixedLoad> => {
  const keys = unknownKeys(keyCount);
  const answers: Record<string, number> = {};
  let asked = 0;
  const nextKey = (): string => {
    asked += 1;
    return asked % 2 === 0 ? target.key : (keys[((asked - 1) / 2) % keyCount] ?? target.key);
  };
  const result = await autocannon({
    url: target.url,
    connections,
    amount: requestCount,
    requests: [
      {
        method: 'GET',
        path: target.questions[0]?.path ?? '/',
        setupRequest: (request) => ({ ...request, headers: { authorization: `Bearer ${nextKey()}` } }),
        onResponse: (status) => {
          answers[status] = (answers[status] ?? 0) + 1;
        },
      },
    ],
  });
  if (result.errors > 0) throw new Error(`${result.errors} requests failed`);
  return answers;
});
