/**
 * Somebody's web site that shows jobs: the page's own server, which gets tickets by its key, with API processes behind it in turn.
 * Its network is a bad one: connections can be cut off.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export interface WebSite {
  url: string;
  /** event streams that were asked for so far */
  readonly streams: number;
  /** Cuts off whatever is open, at any byte. @returns how many event streams were among it */
  cut(): number;
  close(): Promise<void>;
}

export interface WebSiteOptions {
  /** of the API processes */
  urls: readonly string[];
  newTicket(): Promise<string>;
}

/** Nobody has to wait for two seconds after each cut. */
function hasten(bytes: Buffer): Buffer | string {
  return bytes.includes('retry: 2000\n') ? bytes.toString().replace('retry: 2000\n', 'retry: 20\n') : bytes;
}

export async function startWebSite({ urls, newTicket }: WebSiteOptions): Promise<WebSite> {
  const sockets = new Set<Socket>();
  const open = new Set<ServerResponse>();
  let streams = 0;

  const passOn = (req: IncomingMessage, res: ServerResponse): void => {
    const { method, headers, url } = req;
    const isStream = url?.includes('/events') === true;
    const target = new URL(url ?? '/', urls[isStream ? streams++ % urls.length : 0]);
    const asking = request(target, { method: method ?? 'GET', headers: { ...headers, host: target.host } });
    asking.on('response', (answer) => {
      if (isStream) open.add(res);
      res.writeHead(answer.statusCode ?? 500, answer.headers);
      res.flushHeaders();
      answer.on('error', () => res.destroy()).on('end', () => res.end());
      answer.on('data', (bytes: Buffer) => res.write(isStream ? hasten(bytes) : bytes));
    });
    asking.on('error', () => res.destroy());
    res.on('close', () => {
      open.delete(res);
      asking.destroy();
    });
    req.pipe(asking);
  };
  const giveTicket = async (res: ServerResponse): Promise<void> => {
    const body = JSON.stringify({ ticket: await newTicket() });
    res.writeHead(200, { 'content-type': 'application/json' }).end(body);
  };
  const server = createServer((req, res) => {
    if (req.url === '/')
      res.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>Jobs</title>');
    else if (req.url === '/my-server/ticket') giveTicket(res).catch(() => res.destroy());
    else passOn(req, res);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): number => {
    const { size } = open;
    for (const socket of sockets) socket.destroy();
    open.clear();
    return size;
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get streams() {
      return streams;
    },
    cut,
    close: async () => {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
