import fc from 'fast-check';
import { toMessage } from '../../src/api/realtime/job-message';
import { createTurnstile } from '../../src/api/realtime/turnstile';
import { FINAL_STATUSES, JOB_STATUSES } from '../../src/domain/batch/status';
import { isFinalJobEvent, progressPublication, publicationOf } from '../../src/domain/realtime/publication';
import { parseCursor } from '../../src/domain/realtime/topic-log';

describe('a cursor', () => {
  test.each([
    '',
    '0',
    '-1',
    '+1',
    '01',
    '1.0',
    '1e3',
    ' 1',
    '1\n',
    '0x10',
    '9007199254740992',
    '1'.repeat(40),
    '1\0',
  ])('%j is none', (text) => expect(parseCursor(text)).toBeUndefined());

  test('every safe integer from 1 is one', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
        (id) => parseCursor(String(id)) === id,
      ),
    );
  });
});

describe('an event', () => {
  const event = {
    id: 'evt_1',
    tenant_id: 'tnt_1',
    type: 'job.completed',
    subject: 'job_1',
    data: '{ "status":"completed", "n": 1.0 }',
    created_at: new Date('2026-03-01T12:00:00Z'),
  };

  test('goes to its job and its tenant; only the job has an end', () => {
    expect(publicationOf(event)).toEqual({
      eventId: 'evt_1',
      type: 'job.completed',
      payload:
        '{"id":"evt_1","type":"job.completed","timestamp":"2026-03-01T12:00:00.000Z","data":{ "status":"completed", "n": 1.0 }}',
      targets: [
        { topic: 'job:job_1', final: true },
        { topic: 'tenant:tnt_1', final: false },
      ],
    });
    expect(publicationOf({ ...event, type: 'job.started' }).targets[0]?.final).toBe(false);
    expect(publicationOf({ ...event, subject: 'key_1' }).targets).toEqual([
      { topic: 'tenant:tnt_1', final: false },
    ]);
  });

  test('is the last of a job exactly where its status is final', () => {
    const last = JOB_STATUSES.filter((status) => isFinalJobEvent(`job.${status}`));
    expect(last).toEqual(FINAL_STATUSES);
    expect(isFinalJobEvent('job.progress')).toBe(false);
  });

  test('is shown flat, by its kind', () => {
    const { payload } = publicationOf({
      ...event,
      type: 'job.started',
      data: '{"job_id":"job_1","status":"running"}',
    });
    const status = toMessage({ id: 7, type: 'job.started', payload });
    expect({ ...status, data: JSON.parse(status.data) as unknown }).toEqual({
      id: 7,
      event: 'status',
      data: {
        event_id: 'evt_1',
        type: 'job.started',
        timestamp: '2026-03-01T12:00:00.000Z',
        job_id: 'job_1',
        status: 'running',
      },
    });
    const published = progressPublication('job_1', { rate_per_second: 2 });
    const progress = toMessage({ id: 8, type: published.type, payload: published.payload });
    expect(progress.event).toBe('progress');
    expect(JSON.parse(progress.data)).toEqual({ type: 'job.progress', job_id: 'job_1', rate_per_second: 2 });
  });
});

test('a turnstile lets so many through at once and serves the others in line, also after a failure', async () => {
  const pass = createTurnstile(2);
  const order: number[] = [];
  let inside = 0;
  let most = 0;
  const visit = (n: number) =>
    pass(async () => {
      order.push(n);
      most = Math.max(most, ++inside);
      await Promise.resolve();
      inside--;
      if (n === 1) throw new Error('one fails');
      return n;
    });
  const visits = await Promise.allSettled([0, 1, 2, 3, 4].map(visit));
  expect(visits.map(({ status }) => status)).toEqual([
    'fulfilled',
    'rejected',
    'fulfilled',
    'fulfilled',
    'fulfilled',
  ]);
  expect(order).toEqual([0, 1, 2, 3, 4]);
  expect(most).toBe(2);
});
