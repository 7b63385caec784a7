/** IP addresses as numbers: what an IPv6 address carries of IPv4. */
import net from 'node:net';

/** The IPv4 address of an IPv4-mapped one (`::ffff:127.0.0.1`); any other address without its zone, as it is. */
export function unmapped(address: string): string {
  const bare = address.replace(/%.*$/, '');
  if (!net.isIPv6(bare)) return bare;
  const groups = groupsOf(bare);
  return startsWith(groups, [0, 0, 0, 0, 0, 0xffff]) ? toIpv4(groups[6], groups[7]) : bare;
}

/**
 * The IPv4 address that an IPv6 one is translated or tunnelled to, where it tells: IPv4-compatible (RFC 4291), SIIT (RFC 2765),
 * NAT64 (RFC 6052), 6to4 (RFC 3056), Teredo (RFC 4380).
 */
export function carriedIpv4(ipv6: string): string | undefined {
  const groups = groupsOf(ipv6);
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
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.');
}

/** The eight 16-bit groups of what `net.isIPv6` takes for an address. */
function groupsOf(ipv6: string): number[] {
  const [head = '', tail] = ipv6.split('::');
  const start = toGroups(head);
  if (tail === undefined) return start;
  const end = toGroups(tail);
  return [...start, ...Array<number>(8 - start.length - end.length).fill(0), ...end];
}

function toGroups(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((part) => {
    if (!part.includes('.')) return [Number.parseInt(part, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}
