/** What an operator reads in Temporal's UI. Markdown; costs no event. */
import type { Finished } from '../../domain/batch/run';
import type { JobStatus } from '../../domain/batch/status';
import type { ChunkLedger } from './ledger';
import type { BatchPlan } from './ports';

export interface Described {
  tenantId: string;
  jobId: string;
  plan: BatchPlan;
  ledger: ChunkLedger;
  status: JobStatus;
  end?: Finished;
}

export function describeRun({ tenantId, jobId, plan, ledger, status, end }: Described): string {
  const counts = ledger.counts();
  const tally = end ?? counts;
  return [
    `**Batch ${jobId}** of tenant ${tenantId}`,
    '',
    `- handler: \`${plan.handler}\``,
    `- status: ${status}`,
    `- items: ${tally.succeeded} succeeded, ${tally.failed} failed of ${plan.total}`,
    `- chunks: ${ledger.done} done, ${ledger.inFlight} in flight of ${ledger.chunks} (${plan.chunkItems} items each)`,
    '',
    'Counts here are of finished chunks; the API knows each item.',
  ].join('\n');
}
