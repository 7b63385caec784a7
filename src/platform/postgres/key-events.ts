/** A store of keys whose changes are told, each in the transaction of the change. Of a secret no event knows anything. */
import type { ApiKeyEventType } from '../../domain/events/lifecycle';
import { newId } from '../clock';
import type { NewEvent } from './event-store';
import type { EventAppender } from './job-events';
import type { KeyRecord } from './key-row';
import type { createKeyStore } from './key-store';

type KeyStore = ReturnType<typeof createKeyStore>;

/** @param events of the same transaction as `keys` */
export function tellingKeys(keys: KeyStore, events: EventAppender): KeyStore {
  const told = async (type: ApiKeyEventType, change: Promise<KeyRecord>): Promise<KeyRecord> => {
    const key = await change;
    await events.append([keyEvent(type, key)]);
    return key;
  };
  return {
    ...keys,
    insert: (key) => told('api_key.created', keys.insert(key)),
    update: (ref, content) => told('api_key.updated', keys.update(ref, content)),
    rotate: (ref, secret) => told('api_key.rotated', keys.rotate(ref, secret)),
    revoke: async (ref) => {
      await keys.revoke(ref);
      const key = await keys.find(ref);
      if (key !== undefined) await events.append([keyEvent('api_key.revoked', key)]);
    },
  };
}

/** What happens to a key once has a derived id, so that it is told once. */
const REPEATED: ReadonlySet<ApiKeyEventType> = new Set(['api_key.updated', 'api_key.rotated']);

function keyEvent(type: ApiKeyEventType, key: KeyRecord): NewEvent {
  const data = {
    key_id: key.id,
    name: key.name,
    prefix: key.prefix,
    status: key.status,
    scopes: key.scopes,
    expires_at: key.expires_at,
    allowed_cidrs: key.allowed_cidrs,
    requests_per_minute: key.requests_per_minute,
    requests_per_day: key.requests_per_day,
    rotated_at: key.rotated_at,
    revoked_at: key.revoked_at,
  };
  return {
    ...(REPEATED.has(type) && { id: newId('event') }),
    tenantId: key.tenant_id,
    type,
    subject: key.id,
    data: JSON.stringify(data),
  };
}
