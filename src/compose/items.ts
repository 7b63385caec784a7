/** Items as they end: which jobs' are followed, and telling of them wherever results are written. */
import type { HeldChunk } from '../domain/batch/run';
import type { ItemOutcome } from '../domain/handler/contract';
import type { ServerConfig } from '../platform/config';
import { type ChunkStore, createChunkStore } from '../platform/postgres/chunk-store';
import { readItemNames } from '../platform/postgres/item-names';
import { createItemPublisher, type ItemPublisher } from '../platform/redis/item-publisher';
import { createItemWatch, type ItemWatch } from '../platform/redis/item-watch';
import type { Common, Setting } from './parts';

export function openItemWatch(
  { config, lifecycle }: Setting<ServerConfig>,
  { redis }: Pick<Common, 'redis'>,
): ItemWatch {
  const watch = createItemWatch({ redis, prefix: config.redisPrefix });
  lifecycle.onClose('item watch', () => watch.stop());
  return watch;
}

/** The chunk store, which tells of what it has written. */
export function openTellingChunks(setting: Setting<ServerConfig>, common: Common): ChunkStore {
  const chunks = createChunkStore(common.database);
  const items = openItemPublisher(setting, common);
  const tell = (held: HeldChunk, outcomes: readonly ItemOutcome[]): void =>
    items.ended(
      held,
      outcomes.flatMap(({ index, status }) => (status === 'deferred' ? [] : [{ index, status }])),
    );
  return {
    ...chunks,
    async write(held, outcomes, running) {
      await chunks.write(held, outcomes, running);
      tell(held, outcomes);
    },
    async giveUpSuspect(held, outcome) {
      await chunks.giveUpSuspect(held, outcome);
      tell(held, [outcome]);
    },
  };
}

function openItemPublisher(
  { config, log, lifecycle }: Setting<ServerConfig>,
  { database, redis, realtime }: Common,
): ItemPublisher {
  const items = createItemPublisher({
    redis,
    prefix: config.redisPrefix,
    realtime,
    customIds: (ref, indexes) => readItemNames(database, ref, indexes),
    onLost: (err) => log.debug({ err }, 'ended items were not told of'),
  });
  lifecycle.onClose('item publisher', () => items.close());
  return items;
}
