import net from 'node:net';
import fc from 'fast-check';
import { addressFilter, encloses, formatCidr, parseCidr } from '../../src/domain/net/cidr';
import { canonicalAddress, formatAddress, parseAddress } from '../../src/domain/net/ip-address';

const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
const ipv4 = fc.array(group, { minLength: 2, maxLength: 2 }).map(formatAddress);
const ipv6 = fc.array(group, { minLength: 8, maxLength: 8 }).map(formatAddress);
/** Nearly addresses: made of what addresses are made of. */
const nearly = fc
  .array(fc.constantFrom('::', ':', '.', '0', '1', '255', '256', 'ffff', '1.2.3.4', '00', 'g', ':1:2'), {
    maxLength: 12,
  })
  .map((parts) => parts.join(''));

test('a text is an address exactly where Node says so', () => {
  fc.assert(
    fc.property(fc.oneof(nearly, ipv4, ipv6, fc.ipV4(), fc.ipV6()), (text) => {
      expect([text, parseAddress(text)?.length]).toEqual([text, { 4: 2, 6: 8 }[net.isIP(text)]]);
    }),
    { numRuns: 5_000 },
  );
});

test.each([
  ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['0:0:0:0:0:0:0:0', '::'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['fe80:0:0:0:0:0:0:1%eth0', 'fe80::1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::FFFF:c000:0201', '192.0.2.1'],
  ['::192.0.2.1', '::c000:201'],
])('%s is written %s (RFC 5952)', (text, canonical) => {
  expect(canonicalAddress(text)).toBe(canonical);
});

test('the canonical text is the same address, and stays as it is', () => {
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      const canonical = canonicalAddress(text) ?? '';
      expect(canonicalAddress(canonical)).toBe(canonical);
      if (net.isIPv6(canonical)) expect(parseAddress(canonical)).toEqual(parseAddress(text));
    }),
  );
});

test.each([
  ['10.1.2.3/8', '10.0.0.0/8'],
  ['192.0.2.1', '192.0.2.1/32'],
  ['2001:DB8:0:0::1/32', '2001:db8::/32'],
  ['::1', '::1/128'],
  ['0.0.0.0/0', '0.0.0.0/0'],
])('the range %s is written %s', (text, canonical) => {
  const cidr = parseCidr(text);
  expect(cidr && formatCidr(cidr)).toBe(canonical);
});

const range = fc.oneof(
  fc.tuple(ipv4, fc.integer({ min: 0, max: 32 })),
  fc.tuple(ipv6, fc.integer({ min: 0, max: 128 })),
);

test('an address lies in a range exactly where Node says so', () => {
  fc.assert(
    fc.property(range, fc.oneof(ipv4, ipv6), fc.nat(128), ([start, prefix], other, keep) => {
      fc.pre(parseCidr(start) !== undefined);
      const list = new net.BlockList();
      list.addSubnet(start, prefix, net.isIPv4(start) ? 'ipv4' : 'ipv6');
      const bits = net.isIPv4(start) ? 32 : 128;
      const near = parseCidr(`${start}/${Math.min(keep, bits)}`);
      for (const address of [start, other, formatAddress(near?.network ?? [])]) {
        fc.pre(canonicalAddress(address) === address);
        // Node also takes `::/0` for a range that holds every IPv4 address.
        const sameKind = net.isIP(address) === net.isIP(start);
        const expected = sameKind && list.check(address, net.isIPv4(address) ? 'ipv4' : 'ipv6');
        expect(addressFilter([`${start}/${prefix}`])(address)).toBe(expected);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('an IPv4 address is the same where a socket for both kinds writes it', () => {
  const admits = addressFilter(['192.0.2.0/24']);
  expect(['192.0.2.7', '::ffff:192.0.2.7', '::ffff:192.0.3.7', 'garbage', ''].map(admits)).toEqual([
    true,
    true,
    false,
    false,
    false,
  ]);
});

test('one range encloses another where it holds all of it', () => {
  const cidr = (text: string) => parseCidr(text) ?? { network: [], prefix: 0 };
  const within = (inner: string, outer: string): boolean => encloses(cidr(outer), cidr(inner));
  expect(within('10.1.0.0/16', '10.0.0.0/8')).toBe(true);
  expect(within('10.0.0.0/8', '10.0.0.0/8')).toBe(true);
  expect(within('10.0.0.0/7', '10.0.0.0/8')).toBe(false);
  expect(within('11.0.0.0/16', '10.0.0.0/8')).toBe(false);
  expect(within('10.0.0.0/8', '::/0')).toBe(false);
});
