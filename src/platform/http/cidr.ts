/** Ranges of addresses as Node matches them. */
import net from 'node:net';
import { toCidrs } from '../../domain/net/cidr';
import { formatAddress } from '../../domain/net/ip-address';

/** @throws TypeError for what is no CIDR */
export function toBlockList(ranges: readonly string[]): net.BlockList {
  const list = new net.BlockList();
  for (const { network, prefix } of toCidrs(ranges)) {
    list.addSubnet(formatAddress(network), prefix, network.length === 2 ? 'ipv4' : 'ipv6');
  }
  return list;
}
