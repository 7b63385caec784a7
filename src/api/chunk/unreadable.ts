/** Items of a job whose secret params no key opens any more: nobody can work on them, and the job must come to its end. */
import { chunkRange } from '../../domain/batch/partition';
import type { HeldChunk, PendingItem, RunJob } from '../../domain/batch/run';
import type { ItemOutcome } from '../../domain/handler/contract';
import { noteFailures } from './items';
import type { ChunkRouteDeps } from './ports';

const PAGE = { limit: 1_000, bytesMax: 8 * 1_048_576, due: new Date(8.64e15) };

export async function failUnreadable(deps: ChunkRouteDeps, held: HeldChunk, job: RunJob): Promise<void> {
  const { start, end } = chunkRange(held.no, job.chunkItems, job.total);
  for (let after = start - 1; ; ) {
    const items = await deps.chunks.readPending(held, { ...PAGE, upload: job.upload, after, end });
    const last = items.at(-1);
    if (last === undefined) break;
    await deps.chunks.write(held, items.map(toUnreadable), 0);
    after = last.index;
  }
  await noteFailures(deps, held, job);
  await deps.chunks.handBack(held, false);
  deps.progress.touch(held);
}

function toUnreadable({ index, attempts }: PendingItem): ItemOutcome {
  const error = {
    code: 'secret_unreadable',
    message: 'A secret param of the job cannot be decrypted any more.',
  };
  return { index, status: 'failed', output: null, error, attempts: attempts + 1, durationMs: 0 };
}
