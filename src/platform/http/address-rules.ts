/**
 * Which addresses may be called: those of the public internet, and those that the operator opened. Ranges are of IANA's special
 * purpose registries for IPv4 and IPv6, as of 2025.
 */
import net from 'node:net';
import { toBlockList } from './cidr';
import { carriedIpv4, unmapped } from './ip-address';

/** opened: by the operator. Only what is `denied` may not be called. */
export type Verdict = 'public' | 'opened' | 'denied';

export interface AddressRules {
  /** @param address an IP address in any notation that sockets and resolvers use; what is none is denied */
  judge(address: string): Verdict;
}

const NOT_PUBLIC_IPV4 = [
  '0.0.0.0/8', // this network
  '10.0.0.0/8', // private
  '100.64.0.0/10', // carrier-grade NAT; Alibaba's metadata
  '127.0.0.0/8', // loopback
  '168.63.129.16/32', // Azure's host, from within its machines
  '169.254.0.0/16', // link-local; metadata of most clouds
  '172.16.0.0/12', // private
  '192.0.0.0/24', // protocol assignments; Oracle's metadata
  '192.0.2.0/24', // documentation
  '192.88.99.0/24', // 6to4 relays
  '192.168.0.0/16', // private
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved; broadcast
];

/** Of IPv6 only this block is public: loopback, unique local, link-local, multicast, NAT64, SIIT and the rest lie outside. */
const PUBLIC_IPV6 = ['2000::/3'];

const NOT_PUBLIC_IPV6 = [
  '2001::/23', // protocol assignments, Teredo, ORCHID
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4
  '3fff::/20', // documentation
];

/** @param opened CIDRs that may be called although they are not public */
export function createAddressRules(opened: readonly string[]): AddressRules {
  const openedRanges = toBlockList(opened);
  const notPublicIpv4 = toBlockList(NOT_PUBLIC_IPV4);
  const publicIpv6 = toBlockList(PUBLIC_IPV6);
  const notPublicIpv6 = toBlockList(NOT_PUBLIC_IPV6);

  const judgeIpv4 = (address: string): Verdict => {
    if (openedRanges.check(address, 'ipv4')) return 'opened';
    return notPublicIpv4.check(address, 'ipv4') ? 'denied' : 'public';
  };
  const judgeIpv6 = (address: string): Verdict => {
    if (openedRanges.check(address, 'ipv6')) {
      // Whoever opens a translator's range, as a network without IPv4 needs it, does not open what lies behind it.
      const carried = carriedIpv4(address);
      return carried !== undefined && judgeIpv4(carried) === 'denied' ? 'denied' : 'opened';
    }
    const isPublic = publicIpv6.check(address, 'ipv6') && !notPublicIpv6.check(address, 'ipv6');
    return isPublic ? 'public' : 'denied';
  };
  return {
    judge(text) {
      const address = unmapped(text);
      const version = net.isIP(address);
      if (version === 0) return 'denied';
      return version === 4 ? judgeIpv4(address) : judgeIpv6(address);
    },
  };
}
