/**
 * Opens the sockets of the guarded client: one look at DNS, all addresses judged, a connection to a judged address and to nothing
 * else, and a last look at whom it really reached. The host's name is never given to a socket, which would look it up again.
 */
import net from 'node:net';
import tls from 'node:tls';
import type { buildConnector } from 'undici';
import type { OutboundFailure } from '../../domain/outbound/exchange';
import { bareHost, deniedHost, type EgressGuard } from './egress-guard';
import { codeOf, connectFailure, failed, handshakeFailure, toFault } from './fault';
import type { Resolve } from './resolve';

/** Begins a TCP connection. */
export type Dial = (to: { host: string; port: number }) => net.Socket;

export interface ConnectorOptions {
  guard: EgressGuard;
  resolve: Resolve;
  dial: Dial;
  /** from the look at DNS to the end of the handshake */
  connectTimeoutMs: number;
}

/** Of a host with many, those that are tried. */
const ADDRESSES_MAX = 4;
const KEEP_ALIVE_PROBE_MS = 60_000;

/** What undici asks for a socket. It rejects with faults only. */
export function createConnector(options: ConnectorOptions): buildConnector.connector {
  return ({ hostname, protocol, port }, callback) => {
    const secure = protocol === 'https:';
    const to = { host: bareHost(hostname), port: Number(port) || (secure ? 443 : 80), secure };
    open(to, options).then(
      (socket) => callback(null, socket),
      (error: Error) => callback(error, null),
    );
  };
}

interface Target {
  host: string;
  port: number;
  secure: boolean;
}

async function open(target: Target, options: ConnectorOptions): Promise<net.Socket> {
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), options.connectTimeoutMs);
  try {
    const addresses = await unlessAborted(vetted(target.host, options), giveUp.signal);
    const socket = await dialFirst(addresses, { target, options, signal: giveUp.signal });
    return target.secure ? await secured(socket, target.host, giveUp.signal) : socket;
  } finally {
    clearTimeout(timer);
  }
}

/** @throws Fault `dns_failed`, `egress_denied` */
async function vetted(host: string, { guard, resolve }: ConnectorOptions): Promise<readonly string[]> {
  const addresses = net.isIP(host) === 0 ? await lookUp(host, resolve) : [host];
  const allowed = guard.vet(host, addresses);
  if (allowed.length === 0) throw toFault(deniedHost(host));
  return allowed.slice(0, ADDRESSES_MAX);
}

async function lookUp(host: string, resolve: Resolve): Promise<readonly string[]> {
  const addresses = await resolve(host).catch((error: unknown) => {
    throw toFault(unknownHost(host, codeOf(error)));
  });
  if (addresses.length === 0) throw toFault(unknownHost(host, 'ENODATA'));
  return addresses;
}

function unknownHost(host: string, code: string): OutboundFailure {
  return failed('dns_failed', `DNS has no address for ${host} (${code || 'no reason given'}).`);
}

interface Dialling {
  target: Target;
  options: ConnectorOptions;
  signal: AbortSignal;
}

/** The first address that answers; each gets its share of the time. */
async function dialFirst(addresses: readonly string[], dialling: Dialling): Promise<net.Socket> {
  const shareMs = dialling.options.connectTimeoutMs / addresses.length;
  let failure: unknown = tooSlow();
  for (const address of addresses) {
    if (dialling.signal.aborted) break;
    const share = AbortSignal.any([dialling.signal, AbortSignal.timeout(shareMs)]);
    try {
      return await dialOne(address, { ...dialling, signal: share });
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

async function dialOne(address: string, { target, options, signal }: Dialling): Promise<net.Socket> {
  const socket = options.dial({ host: address, port: target.port });
  // An error that comes when nobody listens any more would end the process.
  socket.on('error', () => undefined);
  await ready(socket, { event: 'connect', signal, failure: connectFailure });
  if (options.guard.vet(target.host, [socket.remoteAddress ?? '']).length === 0) {
    socket.destroy();
    throw toFault(deniedHost(target.host));
  }
  socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_PROBE_MS);
  return socket;
}

/** The certificate must be good for `host`, whatever the environment says of verification. */
async function secured(socket: net.Socket, host: string, signal: AbortSignal): Promise<tls.TLSSocket> {
  const secure = tls.connect({
    socket,
    host,
    servername: net.isIP(host) === 0 ? host : '',
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: true,
  });
  secure.on('error', () => undefined);
  try {
    await ready(secure, { event: 'secureConnect', signal, failure: handshakeFailure });
    return secure;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

interface Awaited {
  event: 'connect' | 'secureConnect';
  signal: AbortSignal;
  failure(error: unknown): OutboundFailure;
}

async function ready(socket: net.Socket, { event, signal, failure }: Awaited): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const settle = (error?: Error): void => {
      socket.off(event, onReady).off('error', onError).off('close', onClose);
      signal.removeEventListener('abort', onAbort);
      if (error === undefined) return resolve();
      socket.destroy();
      reject(error);
    };
    const onReady = (): void => settle();
    const onError = (error: unknown): void => settle(toFault(failure(error)));
    const onClose = (): void => settle(toFault(failure({ code: 'ECONNRESET' })));
    const onAbort = (): void => settle(tooSlow());
    socket.on(event, onReady).on('error', onError).on('close', onClose);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
  });
}

/** Rejects when `signal` aborts; what `work` comes to then is nobody's concern. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(tooSlow());
    signal.addEventListener('abort', onAbort);
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    if (onAbort) signal.removeEventListener('abort', onAbort);
  }
}

function tooSlow(): Error {
  return toFault(failed('connect_failed', 'The server cannot be reached in time.'));
}
