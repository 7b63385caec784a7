import fc from 'fast-check';
import { createLogLines } from '../../src/platform/log-lines';
import { createLogger } from '../../src/platform/logger';
import type { RequestFields } from '../../src/platform/request-line';

const LONG_MS = 3_600_000;

describe('lines that may wait', () => {
  function lines(delayMs = LONG_MS) {
    const written: string[] = [];
    return { written, log: createLogLines({ write: (text) => void written.push(text) }, delayMs) };
  }

  test('go out with the next line that may not, before it and in their order', () => {
    const { written, log } = lines();
    log.writeSoon('a\n');
    log.writeSoon('b\n');
    expect(written).toEqual([]);
    log.write('c\n');
    expect(written.join('')).toBe('a\nb\nc\n');
    log.write('d\n');
    expect(written.join('')).toBe('a\nb\nc\nd\n');
  });

  test('go out by themselves when their time is up', async () => {
    const written = await new Promise<string>((resolve) => {
      const log = createLogLines({ write: resolve }, 5);
      log.writeSoon('a\n');
      // What waits keeps no process alive; a test must.
      const alive = setInterval(() => undefined, 1_000);
      setTimeout(() => clearInterval(alive), 2_000);
    });
    expect(written).toBe('a\n');
  });

  test('go out at once when there are many, and when they are asked to', () => {
    const { written, log } = lines();
    const line = `${'x'.repeat(999)}\n`;
    for (let n = 0; n < 100; n++) log.writeSoon(line);
    expect(written.length).toBeGreaterThan(0);
    log.flush();
    log.flush();
    expect(written.join('')).toBe(line.repeat(100));
  });
});

describe('the line of a request', () => {
  const request: RequestFields = {
    request_id: 'r',
    tenant_id: undefined,
    key_id: undefined,
    method: 'GET',
    path: '/',
    route: '/',
    status: 200,
    ms: 0.1,
    bytes: 7,
    job_id: undefined,
    aborted: undefined,
    ip: '127.0.0.1',
  };

  function logged(level: 'debug' | 'info' | 'error', line: Partial<RequestFields>): string {
    let text = '';
    const destination = { write: (written: string) => void (text += written) };
    createLogger({ level: 'info', role: 'api', destination }).request(level, { ...request, ...line });
    return text;
  }

  test('looks like any other, without what is not known', () => {
    const known = Object.fromEntries(Object.entries(request).filter(([, value]) => value !== undefined));
    expect(JSON.parse(logged('info', {}))).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as unknown,
      role: 'api',
      pid: process.pid,
      ...known,
      message: 'request',
    });
  });

  test('has every field as it is, whatever a client has written into it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), fc.double({ noNaN: true }), (path, id, ms) => {
        fc.pre(!/[=]|:\/\/|mr[kt]_|whsec_/.test(path + id) && Number.isFinite(ms));
        const ours = { tenant_id: 'tnt_1', key_id: 'key_1', aborted: true, ms } as const;
        const all = { ...ours, path, request_id: id, job_id: path };
        const line = JSON.parse(logged('info', all)) as Record<string, unknown>;
        expect(line).toMatchObject(JSON.parse(JSON.stringify({ ...request, ...all })) as object);
      }),
    );
  });

  test('is one line', () => {
    expect(logged('error', { path: 'a\nb' })).toMatch(/^[^\n]*\n$/);
  });

  test('is left out below the level of the log', () => {
    expect(logged('debug', { path: '/healthz' })).toBe('');
  });

  test.each([
    ['a key in the path', { path: `/v1/mrk_${'a1B2'.repeat(9)}` }, /a1B2a1B2/],
    ['a ticket in the path', { path: `/v1/mrt_${'a1B2'.repeat(9)}` }, /a1B2a1B2/],
    ['an endpoint secret', { path: `/whsec_${'a1B2'.repeat(9)}` }, /a1B2a1B2/],
    ['a password of a URL in it', { path: '/x/http://user:hunter2@host' }, /hunter2/],
    ['what looks like a query', { path: '/v1/x%3F&token=hunter2' }, /hunter2/],
    ['a key for a job', { job_id: `mrk_${'a1B2'.repeat(9)}` }, /a1B2a1B2/],
    ['a key for an id', { request_id: `mrk_${'a1B2'.repeat(9)}` }, /a1B2a1B2/],
  ])('never shows %s', (_title, line, secret) => {
    expect(logged('info', line)).toContain('redacted');
    expect(logged('info', line)).not.toMatch(secret);
  });
});
