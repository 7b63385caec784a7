/** IP addresses as numbers. */

/** 16 bits each: two of IPv4, eight of IPv6 */
export type Groups = readonly number[];

const BYTE = '(0|[1-9]\\d?|1\\d\\d|2[0-4]\\d|25[0-5])';
const IPV4 = new RegExp(`^${BYTE}\\.${BYTE}\\.${BYTE}\\.${BYTE}$`);
const IPV6_TEXT_MAX = 45;
const IPV6_GROUPS = 8;

/** undefined for what is no address as RFC 4291 §2.2 writes them; one with a zone is none either. */
export function parseAddress(text: string): Groups | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): Groups | undefined {
  const bytes = IPV4.exec(text)?.slice(1).map(Number);
  if (bytes === undefined) return undefined;
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  return [a * 256 + b, c * 256 + d];
}

function parseIpv6(text: string): Groups | undefined {
  if (text.length > IPV6_TEXT_MAX) return undefined;
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head = '', tail] = halves;
  const start = parseHalf(head, { last: tail === undefined });
  const end = tail === undefined ? [] : parseHalf(tail, { last: true });
  if (start === undefined || end === undefined) return undefined;
  const missing = IPV6_GROUPS - start.length - end.length;
  // A gap stands for one group at least.
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  return [...start, ...Array<number>(missing).fill(0), ...end];
}

/** @param place `last`: it may end in the notation of IPv4 */
function parseHalf(text: string, place: { last: boolean }): number[] | undefined {
  if (text === '') return [];
  const parts = text.split(':');
  const groups: number[] = [];
  for (const [i, part] of parts.entries()) {
    const ipv4 = place.last && i === parts.length - 1 ? parseIpv4(part) : undefined;
    if (ipv4 !== undefined) groups.push(...ipv4);
    else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

/** As RFC 5952 writes it. */
export function formatAddress(groups: Groups): string {
  if (groups.length === 2) return groups.flatMap((group) => [group >> 8, group & 0xff]).join('.');
  const gap = longestZeros(groups);
  const hex = groups.map((group) => group.toString(16));
  if (gap === undefined) return hex.join(':');
  return `${hex.slice(0, gap.from).join(':')}::${hex.slice(gap.to).join(':')}`;
}

/** The first of the longest runs of two zeros and more. */
function longestZeros(groups: Groups): { from: number; to: number } | undefined {
  let longest: { from: number; to: number } | undefined;
  for (let from = 0; from < groups.length; from++) {
    let to = from;
    while (groups[to] === 0) to++;
    if (to - from > Math.max(1, longest === undefined ? 0 : longest.to - longest.from))
      longest = { from, to };
  }
  return longest;
}

/** The IPv4 address of an IPv4-mapped one (`::ffff:127.0.0.1`); any other as it is. */
export function unmapGroups(groups: Groups): Groups {
  const mapped = groups.length === IPV6_GROUPS && [0, 0, 0, 0, 0, 0xffff].every((g, i) => groups[i] === g);
  return mapped ? groups.slice(6) : groups;
}

/** One text for one address, however it was written: unmapped, and without its zone; undefined for what is none. */
export function canonicalAddress(text: string): string | undefined {
  const zone = text.indexOf('%');
  const groups = parseAddress(zone === -1 ? text : text.slice(0, zone));
  return groups && formatAddress(unmapGroups(groups));
}
