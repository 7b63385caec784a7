import { randomUUID } from 'node:crypto';
import { createInstanceStore, type InstanceStore } from '../../src/platform/postgres/instance-store';
import type { PostgresDatabase } from '../../src/platform/postgres/pool';
import { statement } from '../../src/platform/postgres/statement';
import { openTestDatabase } from '../support/database';

const AGE = statement('test.age', `update instances set seen_at = now() - $2::interval where id = $1`);
const IDS = statement<{ id: string }>('test.instances', 'select id from instances order by id');

describe('processes that live', () => {
  let db: PostgresDatabase;
  let close: () => Promise<void>;
  let store: InstanceStore;
  let ids: [string, string, string];

  beforeEach(async () => {
    ({ db, close } = await openTestDatabase());
    store = createInstanceStore(db);
    const [a = '', b = '', c = ''] = [randomUUID(), randomUUID(), randomUUID()].sort();
    ids = [a, b, c];
  });
  afterEach(() => close());

  const beat = (id: string, role = 'api') => store.beat({ id, role }, 15);

  test('each counts itself and the others, and they agree on their order', async () => {
    expect(await beat(ids[1])).toEqual({ processes: 1, rank: 0 });
    expect(await beat(ids[0])).toEqual({ processes: 2, rank: 0 });
    await beat(ids[2]);
    const crews = await Promise.all(ids.map((id) => beat(id)));
    expect(crews).toEqual([0, 1, 2].map((rank) => ({ processes: 3, rank })));
  });

  test('those of another role are not counted', async () => {
    await beat(ids[0], 'worker');
    expect(await beat(ids[1])).toEqual({ processes: 1, rank: 0 });
  });

  test('who was silent for long is not counted, and counts again after its next word', async () => {
    await beat(ids[0]);
    await db.run(AGE, [ids[0], '16 seconds']);
    expect(await beat(ids[1])).toEqual({ processes: 1, rank: 0 });
    await beat(ids[0]);
    expect(await beat(ids[1])).toEqual({ processes: 2, rank: 1 });
  });

  test('who leaves is gone at once; who ended without a word is forgotten after a day', async () => {
    for (const id of ids) await beat(id);
    await store.remove(ids[0]);
    expect(await beat(ids[1])).toEqual({ processes: 2, rank: 0 });
    await db.run(AGE, [ids[2], '25 hours']);
    await store.prune('api');
    expect((await db.run(IDS)).map(({ id }) => id)).toEqual([ids[1]]);
  });
});
