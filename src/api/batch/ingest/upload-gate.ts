/** How many uploads this process takes at once: each holds a connection for as long as it lasts. */
import { AppError } from '../../../domain/errors';
import { createTurnGate, type TurnGate } from '../../turn-gate';

export type UploadGate = TurnGate;

/** Refuses with `too_many_uploads`. */
export function createUploadGate(limits: { perTenant: number; total: number }): UploadGate {
  return createTurnGate(
    limits,
    () =>
      new AppError('too_many_uploads', 'Too many uploads run at once; wait for one to end.', {
        retryAfterSeconds: 5,
      }),
  );
}
