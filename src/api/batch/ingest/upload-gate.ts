/** How many uploads this process takes at once, of one tenant and of all: each holds a connection for as long as it lasts. */
import { AppError } from '../../../domain/errors';

export interface UploadGate {
  /** @returns what ends the upload's turn. @throws AppError `too_many_uploads` */
  enter(tenantId: string): () => void;
}

export function createUploadGate(limits: { perTenant: number; total: number }): UploadGate {
  const running = new Map<string, number>();
  let total = 0;
  return {
    enter(tenantId) {
      const own = running.get(tenantId) ?? 0;
      if (own >= limits.perTenant || total >= limits.total) throw tooMany();
      running.set(tenantId, own + 1);
      total++;
      return () => {
        const left = (running.get(tenantId) ?? 1) - 1;
        if (left === 0) running.delete(tenantId);
        else running.set(tenantId, left);
        total--;
      };
    },
  };
}

function tooMany(): AppError {
  return new AppError('too_many_uploads', 'Too many uploads run at once; wait for one to end.', {
    retryAfterSeconds: 5,
  });
}
