import { createClientAddress } from '../../src/api/access/client-address';

type Request = Parameters<ReturnType<typeof createClientAddress>>[0];

function request(peer: string | undefined, forwarded?: string): Request {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
  return { socket: { remoteAddress: peer }, headers } as unknown as Request;
}

const behindProxies = createClientAddress(['10.0.0.0/8', 'fd00::/8', '127.0.0.1']);

test('without trusted proxies nobody is believed', () => {
  const addressOf = createClientAddress([]);
  expect(addressOf(request('10.0.0.1', '192.0.2.1'))).toBe('10.0.0.1');
  expect(addressOf(request('127.0.0.1', '192.0.2.1'))).toBe('127.0.0.1');
});

test.each([
  ['no header', '10.0.0.1', undefined, '10.0.0.1'],
  ['one proxy', '10.0.0.1', '192.0.2.1', '192.0.2.1'],
  ['two proxies', '10.0.0.1', '192.0.2.1, 10.0.0.2', '192.0.2.1'],
  ['proxies of both kinds', 'fd00::1', '2001:db8::7, 10.0.0.2', '2001:db8::7'],
  ["a client's own invention on the left", '10.0.0.1', '203.0.113.9, 192.0.2.1, 10.0.0.2', '192.0.2.1'],
  ['a peer that is no proxy', '192.0.2.66', '203.0.113.9', '192.0.2.66'],
  ['nothing but proxies', '10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
  ['a port', '10.0.0.1', '192.0.2.1:4711', '192.0.2.1'],
  ['a port of IPv6', '10.0.0.1', '[2001:db8::7]:4711', '2001:db8::7'],
  ['brackets alone', '10.0.0.1', '[2001:DB8:0::7]', '2001:db8::7'],
  ['a port on a proxy in between', '10.0.0.1', '192.0.2.1,10.0.0.2:443', '192.0.2.1'],
  ['IPv4 in the form of IPv6', '::ffff:10.0.0.1', '::ffff:192.0.2.1', '192.0.2.1'],
  ['a zone', 'fd00::1%eth0', 'fe80::9%eth0', 'fe80::9'],
  ['garbage', '10.0.0.1', 'unknown', '10.0.0.1'],
  ['garbage behind a proxy', '10.0.0.1', '192.0.2.1, nonsense, 10.0.0.2', '10.0.0.2'],
  ['an address that only looks like one', '10.0.0.1', '192.0.2.256', '10.0.0.1'],
  ['empty entries', '10.0.0.1', ' , 192.0.2.1, ,', '192.0.2.1'],
  ['an empty header', '10.0.0.1', '', '10.0.0.1'],
])('%s', (_title, peer, forwarded, address) => {
  expect(behindProxies(request(peer, forwarded))).toBe(address);
});

test('thousands of hops are walked, and only as far as they are trusted', () => {
  const proxies = Array<string>(3_000).fill('10.1.2.3').join(',');
  expect(behindProxies(request('10.0.0.1', `192.0.2.1,${proxies}`))).toBe('192.0.2.1');
  const inventions = Array<string>(3_000).fill('10.1.2.3').join(',');
  expect(behindProxies(request('10.0.0.1', `${inventions},192.0.2.1`))).toBe('192.0.2.1');
});

test('a connection that is gone has no address', () => {
  expect(behindProxies(request(undefined, '192.0.2.1'))).toBe('');
});

test('a list that is none is refused at the start', () => {
  expect(() => createClientAddress(['10.0.0.0/33'])).toThrow(TypeError);
});
