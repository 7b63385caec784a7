import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { createApp } from '../../src/api/app';
import { type Answer, noContent, ok, stream } from '../../src/api/respond';
import { defineRoute, type Route } from '../../src/api/route';
import { type ApiServer, createApiServer } from '../../src/api/server';
import { createLogger } from '../../src/platform/logger';
import { recognising } from '../support/known-keys';
import { noRateLimit } from '../support/limits';
import { until } from '../support/wait';

/** What the shell does with handlers that misbehave, over a real socket; nothing here needs a database. */
let server: ApiServer;
let port: number;
let log: string[];
const returned: string[] = [];

async function* failing(name: string, chunksBefore: number): AsyncGenerator<string> {
  try {
    for (let i = 0; i < chunksBefore; i++) yield 'x'.repeat(1_000);
    throw new Error('hunter2 is in here');
  } finally {
    returned.push(name);
  }
}

async function* endless(name: string): AsyncGenerator<string> {
  try {
    for (;;) yield 'x'.repeat(100_000);
  } finally {
    returned.push(name);
  }
}

function get(path: string, handler: Route['handler'], head?: boolean): Route {
  const shared = { operationId: path, summary: '', tags: [], scopes: 'public', responses: {} } as const;
  return defineRoute({ ...shared, method: 'get', path, head, handler: (request) => handler(request) });
}

let release: () => void = () => undefined;
let entered = 0;
const aborted: string[] = [];

const routes: Route[] = [
  get('/fails', async () => {
    throw new TypeError('hunter2 is in here');
  }),
  get('/throws-text', async () => {
    const text: unknown = 'hunter2';
    throw text;
  }),
  get('/fails-at-once', async () => stream('text/plain', failing('at once', 0))),
  get('/fails-midway', async () => stream('text/plain', failing('midway', 3))),
  get('/endless', async () => stream('text/plain', endless('endless'))),
  get('/waits', async ({ signal }): Promise<Answer> => {
    entered++;
    await new Promise<void>((resolve) => {
      release = resolve;
      signal.addEventListener('abort', () => {
        aborted.push('waits');
        resolve();
      });
    });
    return ok({ done: true });
  }),
  get('/no-head', async () => ok({}), false),
  get('/things/{id}', async () => ok({ route: 'parameter' })),
  get('/things/special', async () => ok({ route: 'special' })),
  get('/empty', async () => noContent()),
];

function refuse(): never {
  throw new Error('not for these tests');
}

beforeEach(async () => {
  log = [];
  const newRequestId = (): string => 'req_test';
  const app = createApp({
    routes,
    log: createLogger({ level: 'info', role: 'api', destination: { write: (line) => void log.push(line) } }),
    newRequestId,
    observeRequest: () => undefined,
    countRequest: () => undefined,
    ...noRateLimit,
    ...recognising(refuse),
    idempotency: { claim: refuse, complete: refuse, release: refuse },
    transact: refuse,
    secretBox: { seal: refuse, open: refuse },
  });
  const respond = app.callback();
  server = createApiServer({ listener: (req, res) => void respond(req, res), newRequestId });
  ({ port } = await server.listen({ host: '127.0.0.1', port: 0 }));
});

afterEach(() => server.drain(0));

async function open(path: string, agent?: Agent, method = 'GET'): Promise<IncomingMessage> {
  const outgoing = request({ host: '127.0.0.1', port, path, method, ...(agent ? { agent } : {}) });
  outgoing.end();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  return response;
}

async function read(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return text;
}

test.each(['/fails', '/throws-text', '/fails-at-once'])(
  'what nobody foresaw in %s is a 500 that tells nothing, and a log line that tells all',
  async (path) => {
    const response = await open(path);
    const text = await read(response);
    expect(response.statusCode).toBe(500);
    expect(JSON.parse(text)).toMatchObject({ code: 'internal', request_id: 'req_test', instance: path });
    expect(text).not.toContain('hunter2');
    expect(log.join('')).toContain('hunter2');
  },
);

test('a stream that fails on its way ends as a broken connection, never as a short download', async () => {
  const response = await open('/fails-midway');
  expect(response.statusCode).toBe(200);
  await expect(read(response)).rejects.toThrow(/aborted/);
  expect(log.join('')).toContain('answer broken off');
  expect(returned).toContain('midway');
});

test('a client that leaves ends the stream behind its answer, and that is no error', async () => {
  const response = await open('/endless');
  await once(response, 'data');
  response.destroy();
  await until('the stream to be returned', () => returned.includes('endless'));
  await until('the access line', () => log.some((line) => line.includes('"aborted":true')));
  expect(log.join('')).not.toContain('"level":"error"');
});

test('a handler is told when its client leaves', async () => {
  const outgoing = request({ host: '127.0.0.1', port, path: '/waits' });
  outgoing.on('error', () => undefined);
  const before = entered;
  outgoing.end();
  await until('the handler to be entered', () => entered > before);
  outgoing.destroy();
  await until('the signal', () => aborted.includes('waits'));
});

test('a drain takes nothing new, waits for what runs, and closes idle connections', async () => {
  const idle = new Agent({ keepAlive: true });
  expect((await read(await open('/things/1', idle))).length).toBeGreaterThan(0);
  const before = entered;
  const running = open('/waits');
  await until('the handler to be entered', () => entered > before);
  const drained = server.drain(30_000);
  await expect(open('/things/1')).rejects.toThrow(/ECONNREFUSED/);
  release();
  expect(await read(await running)).toBe('{"done":true}');
  await drained;
  idle.destroy();
});

test('a drain cuts what outlasts its grace', async () => {
  const before = entered;
  const running = open('/waits').catch((error: Error) => error.message);
  await until('the handler to be entered', () => entered > before);
  await server.drain(20);
  expect(await running).toMatch(/hang up|ECONNRESET/);
});

test('a fixed path wins over a parameter, whatever their order', async () => {
  expect(await read(await open('/things/special'))).toBe('{"route":"special"}');
  expect(await read(await open('/things/other'))).toBe('{"route":"parameter"}');
});

test('a route may refuse HEAD', async () => {
  const response = await open('/no-head', undefined, 'HEAD');
  response.resume();
  expect(response.statusCode).toBe(405);
});

test('an answer without a body has none', async () => {
  const response = await open('/empty');
  expect([response.statusCode, await read(response), response.headers['content-type']]).toEqual([
    204,
    '',
    undefined,
  ]);
});
