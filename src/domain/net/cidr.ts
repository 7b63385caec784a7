/** Ranges of addresses in CIDR notation (RFC 4632, RFC 4291 §2.3). */
import { formatAddress, type Groups, parseAddress, unmapGroups } from './ip-address';

export interface Cidr {
  /** the first address of the range */
  network: Groups;
  /** how many bits at the front are the range's */
  prefix: number;
}

/** `10.0.0.0/8`, `fc00::/7`, or a single address; undefined for anything else. An IPv4 range is written as one, not as `::ffff:…`. */
export function parseCidr(text: string): Cidr | undefined {
  const [address = '', prefixText, ...rest] = text.split('/');
  const groups = parseAddress(address);
  if (groups === undefined || rest.length > 0 || unmapGroups(groups) !== groups) return undefined;
  const bits = groups.length * 16;
  const prefix = prefixText === undefined ? bits : Number(prefixText);
  if (prefixText !== undefined && (!/^\d{1,3}$/.test(prefixText) || prefix > bits)) return undefined;
  return { network: groups.map((group, i) => group & maskOf(prefix, i)), prefix };
}

/** The bits of the i-th group that belong to a prefix. */
function maskOf(prefix: number, i: number): number {
  const bits = Math.min(16, Math.max(0, prefix - 16 * i));
  return 0xffff & ~(0xffff >> bits);
}

/** One text for one range: `10.1.2.3/8` is `10.0.0.0/8`, an address alone is a range of one. */
export function formatCidr({ network, prefix }: Cidr): string {
  return `${formatAddress(network)}/${prefix}`;
}

function holds({ network, prefix }: Cidr, groups: Groups): boolean {
  return (
    groups.length === network.length &&
    network.every((group, i) => ((groups[i] ?? 0) & maskOf(prefix, i)) === group)
  );
}

/** Whether every address of `inner` is one of `outer`. */
export function encloses(outer: Cidr, inner: Cidr): boolean {
  return outer.prefix <= inner.prefix && holds(outer, inner.network);
}

/**
 * Whether an address lies in one of the ranges; none: every address does.
 * @throws TypeError for what is no CIDR
 */
export function addressFilter(ranges: readonly string[]): (address: string) => boolean {
  if (ranges.length === 0) return () => true;
  const cidrs = toCidrs(ranges);
  return (address) => {
    const groups = parseAddress(address);
    return groups !== undefined && cidrs.some((cidr) => holds(cidr, unmapGroups(groups)));
  };
}

/** @throws TypeError for what is no CIDR */
export function toCidrs(ranges: readonly string[]): Cidr[] {
  return ranges.map((range) => {
    const cidr = parseCidr(range);
    if (cidr === undefined) throw new TypeError(`${range} is no CIDR`);
    return cidr;
  });
}
