import fc from 'fast-check';
import { readPublications } from '../../src/api/events/publications';
import { eventJson } from '../../src/api/events/event-body';
import { publishSchema } from '../../src/api/events/schema';
import { builtInTypes } from '../../src/domain/events/built-in';
import { isEventType, isReserved } from '../../src/domain/events/event-type';
import { toTypePatterns } from '../../src/domain/events/type-filter';
import { publicationOf } from '../../src/domain/realtime/publication';

const read = (text: string) => {
  let n = 0;
  const body = publishSchema.parse(JSON.parse(text));
  return readPublications(Buffer.from(text), body, () => `evt_${n++}`);
};

describe('the body of a publication', () => {
  test('gives each event its own text of data, whatever JSON surrounds it', () => {
    const json = fc.jsonValue({ maxDepth: 3 });
    const space = fc.stringMatching(/^[ \t\r\n]{0,3}$/);
    fc.assert(
      fc.property(fc.array(fc.tuple(json, space, space), { minLength: 1, maxLength: 5 }), (values) => {
        const texts = values.map(([value]) => JSON.stringify(value, null, 1));
        const events = values.map(
          ([, before, after], i) => `{"data":${before}${texts[i]}${after},"type":"a.b"${before}}${after}`,
        );
        const many = read(`{"events" : [${events.join(',')}]}`);
        expect(many.events.map(({ data }) => data)).toEqual(texts);
        expect(read(events[0] as string).events[0]?.data).toBe(texts[0]);
      }),
    );
  });

  test('takes the last of two fields of one name, as its parser does', () => {
    const { events } = read(
      '{"events":[{"type":"a","data":0}],"events":[{"type":"b","data":1,"d\\u0061ta":2}]}',
    );
    expect(events.map(({ type, data }) => [type, data])).toEqual([['b', '2']]);
  });

  test('names the place in the body of an event that came after one which was there twice', () => {
    const one = '{"type":"a","data":1,"event_id":"x"}';
    const { places, pointerTo } = read(`{"events":[${one},${one},{"type":"b","data":2}]}`);
    expect(places).toEqual([0, 0, 1]);
    expect(pointerTo(1)).toBe('/events/2');
  });
});

test('what an event is shown as parses to what it is', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string(), fc.string(), (data, subject, eventId) => {
      const shown: unknown = JSON.parse(
        eventJson({
          id: 'evt_1',
          tenant_id: 'tnt_1',
          type: 'a',
          subject,
          channels: [],
          event_id: eventId,
          data: JSON.stringify(data),
          created_at: new Date(0),
        }),
      );
      expect(shown).toEqual({
        id: 'evt_1',
        object: 'event',
        tenant_id: 'tnt_1',
        type: 'a',
        subject: subject === '' ? null : subject,
        channels: [],
        event_id: eventId,
        data: JSON.parse(JSON.stringify(data)),
        timestamp: '1970-01-01T00:00:00.000Z',
      });
    }),
  );
});

test.each([
  ['a', true],
  ['order.paid', true],
  ['a-b_C.1', true],
  ['', false],
  ['.a', false],
  ['a.', false],
  ['a..b', false],
  ['a b', false],
  ['a.*', false],
  ['é', false],
  ['a\n', false],
  ['a'.repeat(128), true],
  ['a'.repeat(129), false],
])('%j as the name of a type', (text, good) => {
  expect(isEventType(text)).toBe(good);
});

test('all that Millrace tells is reserved, described once, and sorted', () => {
  const names = builtInTypes().map(({ name }) => name);
  expect(names.filter((name) => !isReserved(name) || !isEventType(name))).toEqual([]);
  expect(names).toEqual([...new Set(names)].sort());
  expect(isReserved('jobs.done')).toBe(false);
  expect(isReserved('job')).toBe(true);
});

test('patterns become exact types and prefixes; one for all is none', () => {
  expect(toTypePatterns(['a.b', 'a.*', 'c'])).toEqual({ exact: ['c'], prefixes: ['a.'] });
  expect(toTypePatterns(['a', '*'])).toBeUndefined();
});

test('of patterns within another one, or given twice, one is left', () => {
  const patterns = ['a.b.*', 'a.*', 'a.*', 'a.b.c', 'a', 'ab.*', 'a'];
  expect(toTypePatterns(patterns)).toEqual({ exact: ['a'], prefixes: ['a.', 'ab.'] });
});

test("a tenant's own event that names another tenant's job as its subject is not told to who follows the job", () => {
  const event = { id: 'evt_1', tenant_id: 'tnt_1', data: '1', created_at: new Date(0), subject: 'job_1' };
  const topics = (type: string): string[] =>
    publicationOf({ ...event, type }).targets.map(({ topic }) => topic);
  expect(topics('order.paid')).toEqual(['tenant:tnt_1']);
  expect(topics('job.created')).toEqual(['job:job_1', 'tenant:tnt_1']);
});
