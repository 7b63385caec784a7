/** What may be called, by the set of forms that have got past others' guards. */
import { parseCidr } from '../../src/domain/net/cidr';
import { createAddressRules } from '../../src/platform/http/address-rules';
import { createEgressGuard } from '../../src/platform/http/egress-guard';

const guard = createEgressGuard([]);
const rules = createAddressRules([]);

/** The code of a refusal, or the host that would be called. */
function outcome(url: string): string {
  const checked = guard.check(url);
  return checked.ok ? checked.url.hostname : checked.code;
}

const byHost = (hosts: readonly string[]): string[][] => hosts.map((host) => [`http://${host}/`]);

describe('a URL whose host is an address', () => {
  test.each([
    ...byHost(['127.0.0.1', '127.1', '127.0.1', '2130706433', '017700000001', '0177.0.0.1', '0x7f000001']),
    ...byHost(['0x7f.0.0.1', '0X7F.0x0.1', '127.0.0.1.', '①②⑦.⓪.⓪.①', '１２７.０.０.１', '127。0。0。1']),
    ...byHost(['127%2e0%2e0%2e1', '%31%32%37.0.0.1']),
    ...[
      ['http:127.0.0.1/'],
      ['http:\\\\127.0.0.1\\'],
      ['http:///127.0.0.1/'],
      ['http://127.0.0.1#@example.com'],
    ],
  ])('%s is 127.0.0.1, and denied', (url) => {
    expect(new URL(url).hostname).toBe('127.0.0.1');
    expect(outcome(url)).toBe('egress_denied');
  });

  test.each([['http://user:pw@127.0.0.1'], ['http://example.com@127.0.0.1']])(
    '%s is not called, whatever its host: credentials have no place there',
    (url) => {
      expect(outcome(url)).toBe('invalid_request');
      expect(outcome(url.replace('127.0.0.1', 'example.com'))).toBe('invalid_request');
    },
  );

  test.each([
    ...byHost(['0', '0x0', '0.0.0.0', '00000000000', '4294967295']),
    // metadata of the clouds
    ...byHost(['169.254.169.254', '2852039166', '0xA9FEA9FE', '0251.0376.0251.0376', '169.254.43518']),
    ...byHost(['169.16689662', '169.254.170.2', '100.100.100.200', '192.0.0.192', '168.63.129.16']),
    ...byHost(['[fd00:ec2::254]']),
    ...byHost(['[::1]', '[::]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[0:0:0:0:0:ffff:a9fe:a9fe]']),
    ...byHost(['[::127.0.0.1]', '[::ffff:0:127.0.0.1]', '[64:ff9b::a9fe:a9fe]', '[64:ff9b:1::1]']),
    ...byHost(['[2002:7f00:1::]', '[2002:a9fe:a9fe::1]', '[2001:0:53aa:64c::5601:5601]', '[fe80::1]']),
    ...byHost(['[fec0::1]', '[fc00::1]', '[ff02::1]', '[100::1]', '[2001:db8::1]', '[2001:20::1]']),
    ...byHost(['[3fff::1]', '[5f00::1]']),
  ])('%s is denied', (url) => {
    expect(outcome(url)).toBe('egress_denied');
  });

  test.each([
    ...byHost(['1.1.1.1', '[2606:4700:4700::1111]', '172.32.0.1', '172.15.255.255', '100.128.0.1']),
    ...byHost(['192.169.0.1', '198.20.0.1']),
  ])('%s is public', (url) => {
    expect(outcome(url)).toBe(new URL(url).hostname);
  });

  test.each(byHost(['256.0.0.1', '127.0.0.256', '[fe80::1%25eth0]', '[::1%lo]', '[127.0.0.1]']))(
    '%s is no URL',
    (url) => {
      expect(outcome(url)).toBe('invalid_request');
    },
  );
});

describe('a URL whose host is a name', () => {
  test.each([
    ...byHost(['localhost', 'LOCALHOST.', 'ⓛⓞⓒⓐⓛⓗⓞⓢⓣ', 'lo%C2%ADcalhost', 'localhost。', 'foo.localhost']),
    ...byHost([
      'metadata.google.internal',
      'postgres',
      'redis',
      'temporal',
      'a.local',
      'x.y.internal',
      'ai.',
    ]),
    ...byHost(['router.lan', 'nas.home.arpa', 'localhost.localdomain']),
  ])('%s is of this network, and denied without a look at DNS', (url) => {
    expect(outcome(url)).toBe('egress_denied');
  });

  test.each([
    ['http://example.com\\@127.0.0.1/', 'example.com'],
    ['http://127.0.0.1\t.example.com/', '127.0.0.1.example.com'],
    ['http://localhost.example.com/', 'localhost.example.com'],
    ['http://notlocal/'.replace('notlocal', 'my-internal.example'), 'my-internal.example'],
    ['http://127.0.0.1.nip.io/', '127.0.0.1.nip.io'],
  ])('%j goes to %s, whose addresses decide', (url, host) => {
    expect(outcome(url)).toBe(host);
  });

  test('may be called when all of its addresses are public, and never when one is not', () => {
    expect(guard.vet('example.com', ['1.1.1.1', '2606:4700:4700::1111'])).toHaveLength(2);
    for (const inner of ['10.0.0.5', '::1', 'fd00::1', '::ffff:10.0.0.5', 'fe80::1%eth0', 'nonsense']) {
      expect(guard.vet('example.com', ['1.1.1.1', inner])).toEqual([]);
      expect(guard.vet('example.com', [inner, '1.1.1.1'])).toEqual([]);
    }
    expect(guard.vet('example.com', [])).toEqual([]);
  });
});

test.each([
  'file:///etc/passwd',
  'gopher://example.com/',
  'ftp://example.com/',
  'data:text/plain,x',
  'javascript:1',
])('%s is no scheme that is called', (url) => {
  expect(outcome(url)).toBe('egress_denied');
});

test.each([0, 22, 25, 5432, 6379, 3306, 11211])('port %d is denied, on any host', (port) => {
  expect(outcome(`http://example.com:${port}/`)).toBe('egress_denied');
  expect(createEgressGuard(['127.0.0.0/8']).check(`http://127.0.0.1:${port}/`)).toMatchObject({
    code: 'egress_denied',
  });
});

test.each([80, 443, 3000, 8080, 9200])('port %d is fine', (port) => {
  expect(outcome(`http://example.com:${port}/`)).toBe('example.com');
});

test.each([
  ['0.0.0.0', '0.255.255.255'],
  ['10.0.0.0', '10.255.255.255'],
  ['100.64.0.0', '100.127.255.255'],
  ['127.0.0.0', '127.255.255.255'],
  ['169.254.0.0', '169.254.255.255'],
  ['172.16.0.0', '172.31.255.255'],
  ['192.0.0.0', '192.0.0.255'],
  ['192.0.2.0', '192.0.2.255'],
  ['192.88.99.0', '192.88.99.255'],
  ['192.168.0.0', '192.168.255.255'],
  ['198.18.0.0', '198.19.255.255'],
  ['198.51.100.0', '198.51.100.255'],
  ['203.0.113.0', '203.0.113.255'],
  ['224.0.0.0', '239.255.255.255'],
  ['240.0.0.0', '255.255.255.255'],
  ['fc00::', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['fe80::', 'febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['ff00::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['2002::', '2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
])('%s to %s is denied, from the first to the last address, in each notation', (first, last) => {
  for (const address of [first, last]) {
    expect(rules.judge(address)).toBe('denied');
    if (!address.includes(':')) expect(rules.judge(`::ffff:${address}`)).toBe('denied');
  }
});

test.each([
  '1.0.0.0',
  '9.255.255.255',
  '11.0.0.0',
  '100.63.255.255',
  '126.255.255.255',
  '128.0.0.0',
  '223.255.255.255',
])('%s, just beside a denied range, is public', (address) => {
  expect(rules.judge(address)).toBe('public');
  expect(rules.judge(`::ffff:${address}`)).toBe('public');
});

describe('what an operator opens', () => {
  test('may be called, by address and by local name, and nothing beside it', () => {
    const opened = createEgressGuard(['127.0.0.0/8', 'fd12::/16']);
    for (const url of ['http://127.0.0.1:8080/', 'http://[::ffff:127.0.0.1]/', 'http://[fd12::1]/']) {
      expect(opened.check(url)).toMatchObject({ ok: true });
    }
    for (const url of ['http://10.0.0.1/', 'http://[fd13::1]/', 'http://[::1]/', 'http://169.254.169.254/']) {
      expect(opened.check(url)).toMatchObject({ code: 'egress_denied' });
    }
    expect(opened.check('http://localhost/')).toMatchObject({ ok: true });
    expect(opened.vet('localhost', ['127.0.0.1', '::1'])).toEqual(['127.0.0.1']);
    expect(opened.vet('postgres', ['10.0.0.7'])).toEqual([]);
    expect(opened.vet('metadata.google.internal', ['169.254.169.254'])).toEqual([]);
  });

  test('leads a local name to opened addresses only, not to public ones', () => {
    expect(createEgressGuard(['10.0.0.0/8']).vet('printer.local', ['1.1.1.1'])).toEqual([]);
  });

  test('of a translator opens the IPv4 internet behind it, not what is private there', () => {
    const nat64 = createAddressRules(['64:ff9b::/96']);
    expect(nat64.judge('64:ff9b::101:101')).toBe('opened');
    expect(nat64.judge('64:ff9b::a9fe:a9fe')).toBe('denied');
    const tunnels = createAddressRules(['2002::/16', '2001::/32', '::/96']);
    expect(tunnels.judge('2002:a00:1::1')).toBe('denied');
    expect(tunnels.judge('2002:101:101::1')).toBe('opened');
    // Teredo holds the address with its bits turned over.
    expect(tunnels.judge('2001:0:53aa:64c::5601:5601')).toBe('denied');
    expect(tunnels.judge('2001:0:53aa:64c::fefe:fefe')).toBe('opened');
    expect(createAddressRules(['::1/128']).judge('::1')).toBe('opened');
  });

  test.each([
    '',
    '10.0.0.0/33',
    '10.0.0/8',
    '::/129',
    '127.0.0.1/',
    '1.2.3.4/-1',
    'localhost',
    '::ffff:10.0.0.0/104',
  ])('%j is no range', (text) => {
    expect(parseCidr(text)).toBeUndefined();
  });
});
