/** The log of changes to keys, and what housekeeping takes out of it and of the secrets. */
import { newId, systemClock } from '../../src/platform/clock';
import { createAccessLog } from '../../src/platform/postgres/access-log';
import { createKeyStore } from '../../src/platform/postgres/key-store';
import type { PostgresDatabase } from '../../src/platform/postgres/pool';
import { createTicketStore } from '../../src/platform/postgres/ticket-store';
import { createKeyMint } from '../../src/platform/secrets/key-mint';
import { maintain } from '../../src/workers/maintenance';
import { UNBOUND } from '../../src/domain/key/key-bounds';
import { insertTenant, openTestDatabase } from '../support/database';

let db: PostgresDatabase;
let close: () => Promise<void>;

beforeEach(async () => {
  ({ db, close } = await openTestDatabase());
});
afterEach(() => close());

const sql = <Row>(text: string, values: unknown[] = []): Promise<Row[]> =>
  db.run<Row>({ name: `test.${text.length}`, text, prepared: false }, values);

const housekeeping = (): Promise<void> =>
  maintain({
    partitions: { ensurePartitions: async () => 0 },
    idempotency: { prune: async () => 0 },
    access: createAccessLog(db),
    keys: createKeyStore(db),
    tickets: createTicketStore(db),
    clock: systemClock,
    log: { info: () => undefined },
  });

test('numbers have no holes and follow the commits, whatever comes at once and whatever is rolled back', async () => {
  const seen: number[] = [];
  const log = createAccessLog(db);
  let writing = true;
  const reading = (async () => {
    for (let after = 0; writing || after < (await log.readAfter(after)).latest; ) {
      const { changes, latest } = await log.readAfter(after);
      expect(changes.length).toBe(latest - after);
      seen.push(...changes.map(({ seq }) => seq));
      after = latest;
    }
  })();
  const write = (n: number): Promise<void> =>
    db.transaction(async (tx) => {
      await createAccessLog(tx).changed(`key_${n}`);
      if (n % 3 === 0) throw new Error('no');
    });
  await Promise.allSettled(Array.from({ length: 60 }, (_, n) => write(n)));
  writing = false;
  await reading;
  expect(seen).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
});

test('the log keeps an hour; who has not read what is gone sees that something is missing', async () => {
  const log = createAccessLog(db);
  for (const subject of ['a', 'b', 'c']) await log.changed(subject);
  await sql(`update access_changes set at = now() - interval '61 minutes' where subject <> 'c'`);
  await housekeeping();
  expect(await log.readAfter(2)).toEqual({ latest: 3, changes: [{ seq: 3, subject: 'c' }] });
  expect((await log.readAfter(0)).changes).toEqual([{ seq: 3, subject: 'c' }]);
  await sql(`update access_changes set at = now() - interval '61 minutes'`);
  await housekeeping();
  expect(await log.readAfter(2)).toEqual({ latest: 3, changes: [] });
});

test('secrets that were rotated out are kept for 30 days after their end, the last one for ever', async () => {
  const mint = createKeyMint();
  const keys = createKeyStore(db);
  const [tenantId, keyId] = [await insertTenant(db), newId('key')];
  const first = mint.mint();
  await keys.insert({ id: keyId, tenantId, name: 'test', ...first, scopes: ['jobs:read'], bounds: UNBOUND });
  const made = [first];
  for (let n = 0; n < 2; n++) {
    const next = mint.mint();
    await keys.rotate({ tenantId, keyId }, { ...next, overlapSeconds: 0 });
    made.push(next);
  }
  const age = `update api_key_secrets set ends_at = now() - $2::interval where hash = $1 and ends_at is not null`;
  await sql(age, [made[0]?.hash, '31 days']);
  await sql(age, [made[1]?.hash, '29 days']);
  await housekeeping();
  const left = await sql<{ hash: Buffer }>('select hash from api_key_secrets');
  const expected = made.slice(1).map(({ hash }) => Buffer.from(hash).toString('hex'));
  expect(left.map(({ hash }) => hash.toString('hex')).sort()).toEqual(expected.sort());
});

test('tickets go a day after their streams had to end, whatever became of them; the rest stay', async () => {
  const tenantId = await insertTenant(db);
  const { hash, prefix } = createKeyMint().mint();
  const keyId = newId('key');
  await createKeyStore(db).insert({
    ...{ id: keyId, tenantId, name: 'x', prefix, hash, scopes: ['jobs:read'], bounds: UNBOUND },
  });
  const store = createTicketStore(db);
  for (let n = 0; n < 3; n++) {
    await store.insert({
      ...{ id: newId('ticket'), hash: Buffer.from([n]), tenantId, keyId, keyHash: hash },
      ...{ scopes: ['jobs:read'], topics: null, expiresInSeconds: 60, streamSeconds: 60 },
    });
  }
  await sql(`update stream_tickets set stream_ends_at = now() - interval '25 hours' where hash = $1`, [
    Buffer.from([0]),
  ]);
  await sql(`update stream_tickets set stream_ends_at = now() - interval '23 hours' where hash = $1`, [
    Buffer.from([1]),
  ]);
  await housekeeping();
  const left = await sql<{ hash: Buffer }>('select hash from stream_tickets order by hash');
  expect(left.map(({ hash: kept }) => kept[0])).toEqual([1, 2]);
});
