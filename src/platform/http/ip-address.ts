/** What an IPv6 address carries of IPv4. */
import { formatAddress, parseAddress, unmapGroups } from '../../domain/net/ip-address';

/** The IPv4 address of an IPv4-mapped one (`::ffff:127.0.0.1`); any other address without its zone, as it is. */
export function unmapped(address: string): string {
  const bare = address.replace(/%.*$/, '');
  const groups = parseAddress(bare);
  if (groups === undefined) return bare;
  const unmapped = unmapGroups(groups);
  return unmapped === groups ? bare : formatAddress(unmapped);
}

/**
 * The IPv4 address that an IPv6 one is translated or tunnelled to, where it tells: IPv4-compatible (RFC 4291), SIIT (RFC 2765),
 * NAT64 (RFC 6052), 6to4 (RFC 3056), Teredo (RFC 4380).
 */
export function carriedIpv4(ipv6: string): string | undefined {
  const groups = parseAddress(ipv6);
  if (groups === undefined) return undefined;
  const [, second, third, , , , seventh = 0, last = 0] = groups;
  if (startsWith(groups, [0, 0, 0, 0, 0, 0]) && seventh > 0) return toIpv4(seventh, last);
  if (startsWith(groups, [0, 0, 0, 0, 0xffff, 0])) return toIpv4(seventh, last);
  if (startsWith(groups, [0x64, 0xff9b, 0, 0, 0, 0])) return toIpv4(seventh, last);
  if (startsWith(groups, [0x2002])) return toIpv4(second, third);
  if (startsWith(groups, [0x2001, 0])) return toIpv4(seventh ^ 0xffff, last ^ 0xffff);
  return undefined;
}

function startsWith(groups: readonly number[], start: readonly number[]): boolean {
  return start.every((group, i) => groups[i] === group);
}

function toIpv4(high = 0, low = 0): string {
  return formatAddress([high, low]);
}
