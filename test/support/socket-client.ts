/** A WebSocket client that notes all it is told. */
import { type IncomingMessage, request } from 'node:http';
import { WebSocket, type ClientOptions } from 'ws';
import { until } from './wait';

export interface Told {
  type: string;
  id?: string;
  topic?: string;
  event?: string;
  cursor?: number;
  code?: string;
  [field: string]: unknown;
}

export interface SocketClient {
  readonly ws: WebSocket;
  /** all messages so far, in order */
  readonly told: readonly Told[];
  /** of which: what topics told */
  readonly events: readonly (Told & { event: string; data: Record<string, unknown> })[];
  /** code and reason, once it is closed */
  readonly closed: { code: number; reason: string } | undefined;
  /** of the 101 */
  readonly headers: IncomingMessage['headers'];
  send(command: object): void;
  /** Sends a command with an id of its own, and waits for what acknowledges it. */
  ask(command: object): Promise<Told>;
  /** Waits for its end. */
  end(): Promise<{ code: number; reason: string }>;
}

let asked = 0;

/** Rejects where the handshake is refused: see `refusal`. */
export async function openSocket(url: string, options: ClientOptions = {}): Promise<SocketClient> {
  const ws = new WebSocket(url, options);
  const told: Told[] = [];
  let closed: SocketClient['closed'];
  let headers: IncomingMessage['headers'] = {};
  ws.on('message', (data: Buffer) => told.push(JSON.parse(data.toString()) as Told));
  ws.on('close', (code, reason) => {
    closed = { code, reason: reason.toString() };
  });
  ws.on('upgrade', (response) => {
    headers = response.headers;
  });
  await new Promise<void>((resolve, reject) => {
    ws.once('open', resolve);
    ws.once('error', reject);
  });
  ws.on('error', () => undefined);
  const send = (command: object): void => ws.send(JSON.stringify(command));
  return {
    ws,
    told,
    get events() {
      return told.filter(({ type }) => type === 'event') as never;
    },
    get closed() {
      return closed;
    },
    get headers() {
      return headers;
    },
    send,
    ask: (command) => {
      const id = `ask-${++asked}`;
      send({ ...command, id });
      return until(`the answer to ${JSON.stringify(command)}`, () =>
        told.find((message) => message.id === id),
      );
    },
    end: () => until('the end of the connection', () => closed),
  };
}

export interface Refusal {
  status: number;
  body: Told;
  headers: IncomingMessage['headers'];
}

/** What a handshake that must not succeed is answered. @param headers in place of those that it should have */
export function refusal(url: string, headers: Record<string, string> = {}): Promise<Refusal> {
  const handshake = {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
  };
  return new Promise((resolve, reject) => {
    const asking = request(url.replace(/^ws/, 'http'), { headers: { ...handshake, ...headers } });
    asking.once('error', reject);
    asking.once('upgrade', () => reject(new Error('the handshake was accepted')));
    asking.once('response', (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += String(chunk);
      });
      response.on('end', () => {
        const { statusCode: status = 0, headers: answered } = response;
        resolve({ status, headers: answered, body: JSON.parse(text) as Told });
      });
    });
    asking.end();
  });
}
