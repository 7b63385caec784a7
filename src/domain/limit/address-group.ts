import { formatCidr } from '../net/cidr';
import { formatAddress, parseAddress, unmapGroups } from '../net/ip-address';

/** What one customer of a provider gets: whoever has one address of it has all. */
const IPV6_PREFIX = 64;
const IPV6_NETWORK_GROUPS = IPV6_PREFIX / 16;

/** Whose attempts count together: an IPv4 address, or the /64 of an IPv6 one. What is no address is a group of its own. */
export function addressGroup(address: string): string {
  const parsed = parseAddress(address);
  if (parsed === undefined) return 'unknown';
  const groups = unmapGroups(parsed);
  if (groups.length === 2) return formatAddress(groups);
  const network = groups.map((group, i) => (i < IPV6_NETWORK_GROUPS ? group : 0));
  return formatCidr({ network, prefix: IPV6_PREFIX });
}
