/** `GET /v1/realtime`: many topics over one WebSocket. */
import type { ServerResponse } from 'node:http';
import { AppError } from '../../domain/errors';
import type { Principal } from '../../domain/key/scopes';
import { taken } from '../respond';
import { type ApiRequest, defineRoute, type Route } from '../route';
import { UpgradeResponse } from '../upgrade';
import type { Admission } from './admission';
import { CLOSE, type SocketConnection } from './socket-connection';
import { type SessionDeps, SocketSession, topicsMaxOf } from './socket-session';

export interface OpenSocketDeps extends SessionDeps {
  admission: Admission;
}

/** RFC 6455 §4.4 */
const VERSION = '13';

const DESCRIPTION = [
  'A WebSocket (RFC 6455), on which JSON objects are sent as text. A browser, which can set no header, asks with a ticket. ' +
    'The first message is `{"type":"hello"}`. Commands: ' +
    '`{"type":"subscribe","topic":"job:job_…","from":123}`, `{"type":"unsubscribe","topic":"…"}`, `{"type":"ping"}`; each may ' +
    'carry an `id`, and is acknowledged with it: `subscribed`, `unsubscribed`, `pong`, or `error` with a `code` of the catalogue.',
  'Topics: `job:{job_id}` (scope `jobs:read`) and `tenant` (`events:read`). What they tell comes as ' +
    '`{"type":"event","topic","event","cursor","data"}`; `from` takes a `cursor` and resumes after it. A topic that is over, or ' +
    'not to be had for now, is told as `unsubscribed` with a `reason`.',
  'Close codes: 1003 and 1008 what was sent is no command, 1009 a command is larger than 16 KB, 1012 the process ends (after ' +
    '`{"type":"goodbye","reconnect_after_ms"}`), 4001 key or ticket no longer valid, 4008 read too slowly. See docs/realtime.md.',
].join('\n\n');

export function openSocketRoute(deps: OpenSocketDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/realtime',
    operationId: 'openRealtime',
    summary: 'Follow many topics over a WebSocket',
    description: DESCRIPTION,
    tags: ['realtime'],
    // What a topic takes is asked for when it is subscribed to.
    scopes: [],
    head: false,
    upgrade: 'websocket',
    takesTicket: true,
    errors: [
      'upgrade_required',
      // of commands
      'missing_scope',
      'not_found',
      'already_followed',
      'too_many_topics',
      'at_capacity',
    ],
    responses: { 101: { description: 'The WebSocket is open' } },
    handler: async (request) => {
      const { req, res } = request.ctx;
      if (!(res instanceof UpgradeResponse) || req.headers['sec-websocket-version'] !== VERSION) {
        throw upgradeRequired(res);
      }
      await open(deps, request, res);
      return taken();
    },
  });
}

type Asked = Pick<
  ApiRequest<undefined, undefined, undefined, Principal>,
  'principal' | 'credential' | 'requestId' | 'log' | 'ctx'
>;

async function open(
  { admission, ...deps }: OpenSocketDeps,
  { principal, credential, requestId, log, ctx }: Asked,
  res: UpgradeResponse,
): Promise<void> {
  let connection: SocketConnection | undefined;
  let ended = false;
  const stay = await admission.admit({ principal, credential, scopes: [] }, () => {
    ended = true;
    connection?.close(CLOSE.credentialEnded);
  });
  try {
    connection = deps.sockets.join(ctx.req, res);
  } finally {
    if (connection === undefined) stay.leave();
    else connection.ws.once('close', () => stay.leave());
  }
  // The client has left meanwhile.
  if (connection === undefined) return;
  const topicsMax = topicsMaxOf(principal);
  connection.send({
    type: 'hello',
    connection_id: requestId,
    ping_interval_ms: deps.sockets.pingMs,
    topics_max: topicsMax,
  });
  if (ended) connection.close(CLOSE.credentialEnded);
  const asker = { principal, topics: credential.ticket?.topics };
  new SocketSession(deps, { connection, asker, topicsMax, stay, log }).start();
}

/** RFC 9110 §15.5.22: it says to what. */
function upgradeRequired(res: ServerResponse): AppError {
  const closes = !res.shouldKeepAlive || res.getHeader('Connection') === 'close';
  res.setHeader('Upgrade', 'websocket');
  res.setHeader('Connection', closes ? 'Upgrade, close' : 'Upgrade');
  res.setHeader('Sec-WebSocket-Version', VERSION);
  const how = `\`Upgrade: websocket\` and \`Sec-WebSocket-Version: ${VERSION}\`, without a body`;
  return new AppError('upgrade_required', `Ask for a WebSocket: ${how}.`);
}
