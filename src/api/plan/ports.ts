/** What the plan routes need of the house below. */
import type { Plan, PlanLimits } from '../../domain/key/plans';

export interface PlanRecord extends Plan {
  created_at: Date;
  updated_at: Date;
}

export interface PlanStore {
  /** By name. @param page `after`: name of the last plan of the page before */
  list(page: { after?: string | undefined; limit: number }): Promise<PlanRecord[]>;
  /** undefined where there is none */
  find(name: string): Promise<PlanRecord | undefined>;
  /** @throws AppError `plan_exists` */
  insert(plan: Plan): Promise<PlanRecord>;
  /** What is left out stays; in a transaction. @throws AppError `not_found` */
  update(name: string, limits: Partial<PlanLimits>): Promise<PlanRecord>;
}
