/** One answer for a tenant that there is not, that was deleted, or that the asker may not see. */
import { AppError } from '../../domain/errors';
import type { Principal } from '../../domain/key/scopes';

/** @throws AppError `not_found` */
export function existing<T>(tenant: T | undefined): T {
  if (tenant === undefined) throw new AppError('not_found', 'There is no tenant with this id.');
  return tenant;
}

/** One's own; with `admin`, any. */
export function maySee({ tenantId, scopes }: Principal, wanted: string): boolean {
  return wanted === tenantId || scopes.includes('admin');
}
