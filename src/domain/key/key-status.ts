/** Whether a key still opens anything. The cases are told apart in the database, by its clock. */
export const KEY_STATUSES = ['active', 'expired', 'revoked'] as const;
export type KeyStatus = (typeof KEY_STATUSES)[number];
