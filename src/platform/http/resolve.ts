/** From a host's name to all of its addresses. */
import { lookup, Resolver } from 'node:dns/promises';
import { isLocalName } from './egress-guard';

/** All addresses of a name; rejects, or answers none, where there are none. */
export type Resolve = (host: string) => Promise<readonly string[]>;

const QUERY = { timeout: 2_000, tries: 2 };

/**
 * Asks DNS directly: `getaddrinfo` would do so in a thread of a small pool, where a name whose servers are silent keeps everybody
 * waiting. Local names are the operator's, and what they mean stands in files as often as in DNS.
 */
export function createResolve(): Resolve {
  return joined(async (host) => {
    if (isLocalName(host)) return (await lookup(host, { all: true })).map(({ address }) => address);
    // A new one each time knows of servers that were changed meanwhile.
    const resolver = new Resolver(QUERY);
    const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    const [first] = answers;
    if (addresses.length === 0 && first?.status === 'rejected') throw first.reason;
    return addresses;
  });
}

/** Those who ask for a name while it is being asked for get the same answer. */
function joined(resolve: Resolve): Resolve {
  const asked = new Map<string, Promise<readonly string[]>>();
  return (host) => {
    const known = asked.get(host);
    if (known !== undefined) return known;
    const asking = resolve(host).finally(() => asked.delete(host));
    asked.set(host, asking);
    return asking;
  };
}
