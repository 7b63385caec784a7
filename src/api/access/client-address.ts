/** Where a request comes from, behind the proxies that are trusted. */
import type { IncomingMessage } from 'node:http';
import { addressFilter } from '../../domain/net/cidr';
import { canonicalAddress } from '../../domain/net/ip-address';

/** @returns IPv4 or IPv6 without port or zone; empty where the connection is gone already */
export type ClientAddress = (req: Pick<IncomingMessage, 'socket' | 'headers'>) => string;

/** @param trusted CIDRs of proxies whose X-Forwarded-For is believed. @throws TypeError for what is no CIDR */
export function createClientAddress(trusted: readonly string[]): ClientAddress {
  const isProxy = trusted.length === 0 ? () => false : addressFilter(trusted);
  const peers = new WeakMap<object, string>();
  const peerOf = (socket: IncomingMessage['socket']): string => {
    const known = peers.get(socket);
    if (known !== undefined) return known;
    const address = canonicalAddress(socket.remoteAddress ?? '') ?? '';
    peers.set(socket, address);
    return address;
  };
  return ({ socket, headers }) => {
    const peer = peerOf(socket);
    if (!isProxy(peer)) return peer;
    const forwarded = headers['x-forwarded-for'];
    return forwarded === undefined ? peer : walk(peer, String(forwarded), isProxy);
  };
}

/**
 * Each proxy appends who it got the request from, so what stands on the right of the last trusted one is true, and what stands
 * on its left may be the client's own invention. What is no address ends the walk: nobody knows who stood there.
 */
function walk(peer: string, forwarded: string, isProxy: (address: string) => boolean): string {
  const hops = forwarded.split(',').filter((hop) => hop.trim() !== '');
  let address = peer;
  for (const hop of hops.reverse()) {
    if (!isProxy(address)) break;
    const before = hopAddress(hop.trim());
    if (before === undefined) break;
    address = before;
  }
  return address;
}

/** Some proxies write the port too: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
function hopAddress(hop: string): string | undefined {
  const bare = /^\[([^[\]]+)\](?::\d{1,5})?$/.exec(hop)?.[1] ?? /^([\d.]+):\d{1,5}$/.exec(hop)?.[1] ?? hop;
  return canonicalAddress(bare);
}
