/** The API's side of handlers in other languages: items out and results in, over HTTP. */
import type { ChunkRouteDeps } from '../api/chunk/ports';
import type { HandlerRegistry } from '../domain/handler/contract';
import { isRemote } from '../domain/handler/remote';
import { systemClock } from '../platform/clock';
import type { ApiConfig } from '../platform/config';
import { createLoanStore } from '../platform/postgres/loan-store';
import { createRateStore } from '../platform/postgres/rate-store';
import { createRunStore } from '../platform/postgres/run-store';
import { createChunkTokens } from '../platform/secrets/chunk-token';
import { createParamsCipher } from '../platform/secrets/params-cipher';
import { openTellingChunks } from './items';
import { type Common, eventsOf, type Setting } from './parts';
import { openProgress } from './progress';

interface Parts {
  common: Common;
  handlers: HandlerRegistry;
}

export function chunkDeps(setting: Setting<ApiConfig>, { common, handlers }: Parts): ChunkRouteDeps {
  const { database } = common;
  return {
    tokens: createChunkTokens(setting.config.secretKeys),
    chunks: openTellingChunks(setting, common),
    loans: createLoanStore(database),
    runs: createRunStore(database, eventsOf),
    rates: createRateStore(database),
    handlers: {
      find: (name) => {
        const handler = handlers.get(name);
        return isRemote(handler) ? handler : undefined;
      },
    },
    openFor: createParamsCipher(common.secretBox).openFor,
    progress: openProgress(setting, common),
    now: systemClock.now,
    chance: Math.random,
  };
}
