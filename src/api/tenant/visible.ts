/** One answer for a tenant that there is not, that was deleted, or that the asker may not see. */
import { AppError } from '../../domain/errors';
import type { Tenant } from './ports';

/** @throws AppError `not_found` */
export function existing(tenant: Tenant | undefined): Tenant {
  if (tenant === undefined) throw new AppError('not_found', 'There is no tenant with this id.');
  return tenant;
}
