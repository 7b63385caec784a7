import fc from 'fast-check';
import { textFrame, payloadOf } from '../../src/api/realtime/socket-frame';
import { createHeartbeat } from '../../src/api/realtime/socket-heartbeat';
import { createPace } from '../../src/api/realtime/socket-pace';
import { errorMessage, eventText, parseCommand } from '../../src/api/realtime/socket-protocol';
import { AppError } from '../../src/domain/errors';

const parse = (value: unknown) => parseCommand(JSON.stringify(value));

describe('a command', () => {
  test('is subscribe, unsubscribe or ping, with an id that the client chose', () => {
    expect(parse({ type: 'subscribe', id: 'a', topic: 'tenant', types: ['job.*', '*'] })).toEqual({
      type: 'subscribe',
      id: 'a',
      topic: 'tenant',
      types: ['job.*', '*'],
      start: 'now',
    });
    expect(parse({ type: 'unsubscribe', topic: 'tenant' })).toEqual({ type: 'unsubscribe', topic: 'tenant' });
    expect(parse({ type: 'ping', id: '' })).toEqual({ type: 'ping', id: '' });
  });

  test.each([
    [123, 123],
    ['123', 123],
    [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
    // Forged, or from elsewhere: a reset follows, as it does for a Last-Event-ID.
    [-1, 'unknown'],
    [0, 'unknown'],
    [1.5, 'unknown'],
    [1e300, 'unknown'],
    ['', 'unknown'],
    ['abc', 'unknown'],
    ['1\0', 'unknown'],
    ['9'.repeat(40), 'unknown'],
  ])('from %j begins at %j', (from, start) => {
    expect(parse({ type: 'subscribe', topic: 'tenant', from })).toMatchObject({ start });
  });

  test('with very much that is wrong is not answered at length', () => {
    const wrong = Object.fromEntries(Array.from({ length: 2_000 }, (_, n) => [`x${n}`, 1]));
    const command = parse({ type: 'ping', ...wrong });
    expect(command.type === 'refused' && command.error.errors?.length).toBe(20);
  });

  test.each([
    ['', 'malformed_json'],
    ['{"type":"ping"', 'malformed_json'],
    ['\0', 'malformed_json'],
    ['null', 'validation_failed'],
    ['[]', 'validation_failed'],
    ['"ping"', 'validation_failed'],
    ['{}', 'validation_failed'],
    ['{"type":"publish"}', 'validation_failed'],
    ['{"type":"ping","more":1}', 'validation_failed'],
    ['{"type":"ping","__proto__":{"id":"x"}}', 'validation_failed'],
    ['{"type":"subscribe"}', 'validation_failed'],
    ['{"type":"subscribe","topic":""}', 'validation_failed'],
    ['{"type":"subscribe","topic":5}', 'validation_failed'],
    ['{"type":"subscribe","topic":"tenant","from":{}}', 'validation_failed'],
    ['{"type":"subscribe","topic":"tenant","from":1e999}', 'validation_failed'],
    ['{"type":"subscribe","topic":"tenant","types":[]}', 'validation_failed'],
    ['{"type":"subscribe","topic":"tenant","types":["job..x"]}', 'validation_failed'],
    ['{"type":"subscribe","topic":"tenant","items":"yes"}', 'validation_failed'],
  ])('%j is none: %s', (text, code) => {
    expect(parseCommand(text)).toMatchObject({ type: 'refused', error: { code } });
  });

  test('that is refused is told with the id and the topic that it had, where they are sane', () => {
    expect(parse({ type: 'subscribe', id: 'a', topic: 'tenant', more: 1 })).toMatchObject({
      id: 'a',
      topic: 'tenant',
    });
    const endless = parse({ type: 'ping', id: 'x'.repeat(65), topic: 'x'.repeat(200) });
    expect(endless).toMatchObject({ type: 'refused', id: undefined, topic: undefined });
  });

  test('whatever is sent, it is a command or refused', () => {
    const types = ['command', 'refused', 'subscribe', 'unsubscribe', 'ping'];
    fc.assert(fc.property(fc.json(), (text) => types.includes(parseCommand(text).type)));
    const nested = `${'['.repeat(8_000)}${']'.repeat(8_000)}`;
    expect(parseCommand(nested).type).toBe('refused');
    expect(parseCommand(`{"type":"ping","id":${nested}}`).type).toBe('refused');
  });
});

describe('what a client is told', () => {
  test('an event is told under the name that the client knows the topic by, its data as they are', () => {
    const data = '{ "n": 1.0,\n"text":"ü\\u2028" }';
    const text = eventText('job:"x', { event: 'progress', id: 5, data });
    expect(text).toBe(`{"type":"event","topic":"job:\\"x","event":"progress","cursor":5,"data":${data}}`);
    expect(JSON.parse(eventText('tenant', { event: 'item', data: '[]' }))).toEqual({
      type: 'event',
      topic: 'tenant',
      event: 'item',
      data: [],
    });
  });

  test('a failure that nobody foresaw shows nothing of itself', () => {
    const told = errorMessage(new Error('password=1'), { id: 'a', topic: 'tenant' });
    expect(told).toMatchObject({ type: 'error', id: 'a', topic: 'tenant', code: 'internal' });
    expect(JSON.stringify(told)).not.toContain('password');
    expect(errorMessage(new AppError('not_found', 'No.', { internal: 'password=1' }), {})).toEqual({
      type: 'error',
      id: undefined,
      topic: undefined,
      code: 'not_found',
      title: 'Not found',
      detail: 'No.',
      errors: undefined,
    });
  });
});

describe('a frame', () => {
  /** RFC 6455 §5.2, read back. */
  function read(bytes: Buffer): { final: boolean; opcode: number; payload: string } {
    const short = (bytes[1] ?? 0) & 0x7f;
    const masked = ((bytes[1] ?? 0) & 0x80) !== 0;
    const [at, length] =
      short === 127
        ? [10, Number(bytes.readBigUInt64BE(2))]
        : short === 126
          ? [4, bytes.readUInt16BE(2)]
          : [2, short];
    expect(masked).toBe(false);
    expect(bytes.length).toBe(at + length);
    const payload = bytes.subarray(at).toString();
    return { final: (bytes[0] ?? 0) >= 0x80, opcode: (bytes[0] ?? 0) & 0x7f, payload };
  }

  test.each([0, 1, 125, 126, 127, 65_535, 65_536, 200_000])('of %i bytes is read back whole', (length) => {
    const text = 'x'.repeat(length);
    const frame = textFrame(text);
    expect(read(frame.bytes)).toEqual({ final: true, opcode: 1, payload: text });
    expect(payloadOf(frame).toString()).toBe(text);
  });

  test('counts bytes, not characters', () => {
    const text = 'ü€😀'.repeat(20);
    expect(read(textFrame(text).bytes).payload).toBe(text);
  });
});

describe('the pace of commands', () => {
  test('so many at once, then so many a second; who waits as told is never told to wait longer', () => {
    let now = 0;
    const pace = createPace({ atOnce: 3, perSecond: 10, monotonicMs: () => now });
    expect([pace.take(), pace.take(), pace.take()]).toEqual([0, 0, 0]);
    for (let n = 0; n < 20; n++) {
      const waitMs = pace.take();
      expect(waitMs).toBe(100);
      now += waitMs;
    }
    now += 60_000;
    expect([pace.take(), pace.take(), pace.take(), pace.take()]).toEqual([0, 0, 0, 100]);
  });
});

describe('the heartbeat', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  function beating(answers: boolean) {
    const own = { pings: 0, silent: false, ping: () => undefined as void };
    own.ping = () => {
      own.pings++;
      own.silent = !answers;
    };
    return own;
  }

  test('pings each connection once an interval, spread over it, and ends who does not answer in time', () => {
    const ended: { pings: number }[] = [];
    const heartbeat = createHeartbeat<ReturnType<typeof beating>>({
      pingMs: 25_000,
      pongMs: 10_000,
      onSilent: (connection) => ended.push(connection),
    });
    const alive = Array.from({ length: 50 }, () => beating(true));
    const dead = beating(false);
    const leave = [...alive, dead].map((connection) => heartbeat.add(connection));
    const perSecond: number[] = [];
    let before = 0;
    for (let second = 0; second < 25; second++) {
      jest.advanceTimersByTime(1_000);
      const pings = [...alive, dead].reduce((sum, { pings }) => sum + pings, 0);
      perSecond.push(pings - before);
      before = pings;
    }
    expect(alive.every(({ pings }) => pings === 1)).toBe(true);
    expect(Math.max(...perSecond)).toBeLessThanOrEqual(3);
    jest.advanceTimersByTime(10_000);
    expect(ended).toEqual([dead]);
    for (const go of leave) go();
    expect(jest.getTimerCount()).toBe(0);
  });
});
