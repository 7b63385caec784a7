/**
 * What may be called: http and https, on the public internet, by names that are nobody's own. Every look is at what the URL
 * parser made of the text, since `0x7f.1`, `①②⑦.⓪.⓪.①` and `127%2e0%2e0%2e1` are all 127.0.0.1.
 */
import net from 'node:net';
import type { OutboundFailure } from '../../domain/outbound/exchange';
import { type AddressRules, createAddressRules } from './address-rules';
import { DENIED_PORTS } from './denied-ports';
import { failed } from './fault';

export interface EgressGuard {
  /** What is known of a URL without asking DNS: the URL as it will be called, or why it will not. */
  check(text: string): { ok: true; url: URL } | OutboundFailure;
  /** Of all the addresses of a host those that may be connected to; none: it may not be called. */
  vet(host: string, addresses: readonly string[]): readonly string[];
}

/** @param opened CIDRs that may be called although they are not public, also by local names */
export function createEgressGuard(opened: readonly string[]): EgressGuard {
  const rules = createAddressRules(opened);
  return {
    check(text) {
      if (!URL.canParse(text)) return failed('invalid_request', 'This is no URL.');
      const url = new URL(text);
      return requestRefusal(url) ?? hostRefusal(url.hostname, rules, opened) ?? { ok: true, url };
    },
    vet(host, addresses) {
      const verdicts = addresses.map((address) => rules.judge(address));
      // Only the operator can mean a local name, and only where the operator said so.
      if (isLocalName(host)) return addresses.filter((_, i) => verdicts[i] === 'opened');
      // A name that leads here and there is somebody's attempt to be led here at the second look.
      return verdicts.includes('denied') ? [] : addresses;
    },
  };
}

function requestRefusal(url: URL): OutboundFailure | undefined {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    return failed('egress_denied', `Only http and https are called, not ${url.protocol}`);
  }
  if (url.username !== '' || url.password !== '') {
    return failed('invalid_request', 'The URL holds credentials; they belong in a header.');
  }
  const port = url.port === '' ? undefined : Number(url.port);
  if (port === undefined || !DENIED_PORTS.has(port)) return undefined;
  return failed('egress_denied', `Port ${port} is not one of HTTP.`);
}

function hostRefusal(
  hostname: string,
  rules: AddressRules,
  opened: readonly string[],
): OutboundFailure | undefined {
  const host = bareHost(hostname);
  // Where something is opened, the addresses of a local name decide.
  const denied =
    net.isIP(host) === 0 ? isLocalName(host) && opened.length === 0 : rules.judge(host) === 'denied';
  return denied ? deniedHost(hostname) : undefined;
}

/** It does not say which address was found: that would tell a stranger about the names and addresses of this network. */
export function deniedHost(host: string): OutboundFailure {
  return failed('egress_denied', `The host ${host} is not on the public internet.`);
}

/** A URL's host without the brackets of IPv6 and without a final dot. */
export function bareHost(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
}

const LOCAL_ZONES = /(^|\.)(localhost|localdomain|local|internal|lan|home\.arpa)$/;

/** A name that means something in this network only: of a local zone, or of a single word. */
export function isLocalName(host: string): boolean {
  if (net.isIP(host) !== 0) return false;
  return !host.includes('.') || LOCAL_ZONES.test(host);
}
