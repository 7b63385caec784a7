/** What a job's workflow has to do next, by what the job's row says. */
import type { Control } from './run';

/**
 * running: hand out chunks · waiting: for a seat of the tenant's plan · paused: hand nothing out ·
 * cancelled: call back what runs, then finish · exceeded: let what runs end, then finish · ended: nothing
 */
export type WantedState = 'running' | 'waiting' | 'paused' | 'cancelled' | 'exceeded' | 'ended';

export function wantedState({
  status,
  desired,
  outcome,
}: Pick<Control, 'status' | 'desired' | 'outcome'>): WantedState {
  switch (status) {
    case 'cancelling':
      return 'cancelled';
    case 'queued':
    case 'running':
    case 'paused':
      if (outcome === 'tolerance_exceeded') return 'exceeded';
      if (desired === 'cancelled') return 'cancelled';
      if (desired === 'paused' || status === 'paused') return 'paused';
      return status === 'queued' ? 'waiting' : 'running';
    default:
      return 'ended';
  }
}
