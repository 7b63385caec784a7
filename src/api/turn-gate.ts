/** How many of a kind this process takes at once, of one tenant and of all. */
import type { AppError } from '../domain/errors';

export interface TurnGate {
  /** @returns what ends the turn. @throws AppError what the gate refuses with */
  enter(tenantId: string): () => void;
}

export function createTurnGate(
  limits: { perTenant: number; total: number },
  refusal: () => AppError,
): TurnGate {
  const running = new Map<string, number>();
  let total = 0;
  return {
    enter(tenantId) {
      const own = running.get(tenantId) ?? 0;
      if (own >= limits.perTenant || total >= limits.total) throw refusal();
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
