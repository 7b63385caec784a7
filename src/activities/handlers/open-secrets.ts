/** Between a handler and the engine, which only ever sees the sealed form of secret params. */
import type { Handler, HandlerItem, ItemStream, RunBatch } from '../../domain/handler/contract';
import { type Cipher, openParams } from '../../domain/handler/secret-params';
import { eachItem } from './each-item';
import { failure } from './failure';
import { toFailed } from './run-groups';

/** Decrypts a text that the API encrypted for this tenant. */
export type OpenFor = (tenantId: string) => Cipher;

/** The handler, its `runItems` opening the params that the engine hands it. Params that can't be opened fail the items. */
export function withOpenSecrets(handler: Handler, openFor: OpenFor): Handler {
  const { secretParams = [] } = handler;
  // Of one that is served elsewhere, the API opens them for whoever claims a chunk.
  if (secretParams.length === 0 || handler.remote === true) return handler;
  return {
    name: handler.name,
    description: handler.description,
    paramsSchema: handler.paramsSchema,
    secretParams,
    inputSchema: handler.inputSchema,
    outputSchema: handler.outputSchema,
    validateParams: (params) => handler.validateParams(params),
    async runItems(items, batch) {
      let params = batch.params;
      try {
        params = openParams(params, secretParams, openFor(batch.tenantId));
      } catch {
        // Which key is missing is for whoever runs this installation; a tenant gets no word of it.
        batch.log.error(
          { handler: handler.name },
          'secret params cannot be decrypted: see MILLRACE_SECRET_KEYS',
        );
        return failAll(items, batch);
      }
      return handler.runItems(items, { ...batch, params });
    },
  };
}

async function failAll(items: ItemStream | readonly HandlerItem[], batch: RunBatch): Promise<void> {
  const unreadable = failure('secret_unreadable', 'A secret param of the job cannot be decrypted any more.');
  await eachItem(items, batch, (item) => {
    batch.onStart(item);
    batch.onOutcome(toFailed(item.index, unreadable, { attempts: 1, startedAt: performance.now() }));
  });
}
