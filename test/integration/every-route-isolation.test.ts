/** Over every route: another tenant's things are as if they were not there. */
import type { IdKind } from '../../src/domain/ids';
import { newId } from '../../src/platform/clock';
import { outcome } from '../support/keys';
import { fixtureOf } from '../support/route-fixtures';
import {
  apartFromOccurrence,
  expectLimits,
  expectNoTraces,
  expectSuccess,
} from '../support/route-fixtures/expect';
import type { Place, RequestParts } from '../support/route-fixtures/fixture';
import { documented, type Operation } from '../support/route-fixtures/operations';
import { rowsOfTenant } from '../support/route-fixtures/rows';
import { startWorld, type World } from '../support/route-fixtures/world';

const KEYED = documented().asking('apiKey');
const NAMING = KEYED.filter(([id]) => Object.keys(fixtureOf(id, 'apiKey').ids ?? {}).length > 0);
const forAdmins = ({ scopes }: Operation): boolean => scopes.includes('admin');
const READING = KEYED.filter(([, operation]) => operation.method === 'GET' && !forAdmins(operation));

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.close());

const rowsOfA = () => rowsOfTenant(world.database, world.a.tenantId);

test.each(NAMING)(
  "%s: another tenant's id gets the very answer of one that nothing has, and changes nothing",
  async (id, operation) => {
    const { request, ids = {} } = fixtureOf(id, 'apiKey');
    const { a, b } = world;
    const [theirs, own] = await Promise.all([request(a), request(b)]);
    const before = await rowsOfA();
    for (const [place, kind] of Object.entries(ids) as [Place, IdKind][]) {
      const foreign = idAt(theirs, place) ?? (kind === 'tenant' ? a.tenantId : undefined);
      expect([...a.ids]).toContain(foreign);
      const answers = [];
      for (const named of [foreign ?? '', newId(kind)]) {
        const reply = await world.ask(operation, withIdAt(own, place, named), { key: b.key });
        expect(outcome(reply)).toEqual(forAdmins(operation) ? [403, 'missing_scope'] : [404, 'not_found']);
        expectLimits(reply);
        answers.push(apartFromOccurrence(reply));
      }
      expect(answers[0]).toEqual(answers[1]);
    }
    expect(await rowsOfA()).toEqual(before);
    // But for the id the request was good.
    if (!forAdmins(operation)) expectSuccess(operation, await world.ask(operation, own, { key: b.key }));
  },
);

test.each(READING)('%s shows a tenant nothing of another', async (id, operation) => {
  const { request } = fixtureOf(id, 'apiKey');
  const { a, b } = world;
  const [theirs, own] = await Promise.all([request(a), request(b)]);
  const requests = [own];
  if (operation.pages) {
    const first = await world.ask(operation, { ...theirs, query: { limit: '1' } }, { key: a.key });
    const cursor = first.body.next_cursor as string;
    expect(cursor).not.toBeNull();
    // A place in the list of another is a place like any other.
    requests.push({ ...own, query: { limit: '100', cursor } });
  }
  for (const parts of requests) {
    const { text } = await world.ask(operation, parts, { key: b.key });
    for (const theirId of a.ids) expect(text).not.toContain(theirId);
  }
});

const NAMED = READING.filter(([id]) => fixtureOf(id, 'apiKey').ids?.['path.id'] !== undefined);
test.each(NAMED)('%s: who asks together with the owner is told no more', async (id, operation) => {
  const { a, b } = world;
  const parts = await fixtureOf(id, 'apiKey').request(a);
  const askers = Array.from({ length: 40 }, (_, n) => (n % 2 === 0 ? a : b));
  const replies = await Promise.all(askers.map(({ key }) => world.ask(operation, parts, { key })));
  for (const [n, reply] of replies.entries()) {
    if (askers[n] === a) expectSuccess(operation, reply);
    else expect(outcome(reply)).toEqual([404, 'not_found']);
  }
});

test('no key of all this stands where it has no business', () => expectNoTraces(world));

function idAt(parts: RequestParts, place: Place): string | undefined {
  const [where, name] = partsOf(place);
  return (parts[where] as Record<string, string> | undefined)?.[name];
}

function withIdAt(parts: RequestParts, place: Place, id: string): RequestParts {
  const [where, name] = partsOf(place);
  return { ...parts, [where]: { ...(parts[where] as object | undefined), [name]: id } };
}

function partsOf(place: Place): ['path' | 'query' | 'body', string] {
  return place.split('.') as ['path' | 'query' | 'body', string];
}
