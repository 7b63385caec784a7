import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { loadConfig } from '../../src/platform/config';
import { VARIABLES } from '../../src/platform/config-variables';

const root = path.resolve(__dirname, '../..');
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

interface Service {
  readonly image?: string;
  readonly build?: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly depends_on?: Readonly<Record<string, unknown>>;
  readonly deploy?: { readonly replicas?: number };
}

const compose = parse(read('docker-compose.yml'), { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
};
const services = Object.entries(compose.services);
const ours = services.filter(([, service]) => service.build !== undefined);

/** What Compose makes of `${NAME:-default}` and `${NAME:?message}`, given the variables that it refuses to be without. */
function filledIn(value: string | number, given: Readonly<Record<string, string>>): string {
  return String(value).replaceAll(
    /\$\{(\w+):([-?])([^}]*)\}/g,
    (_all, name: string, kind, fallback: string) => {
      const text = given[name];
      if (text === undefined && kind === '?') throw new Error(`${name} is needed`);
      return text ?? fallback;
    },
  );
}

describe('docker-compose.yml', () => {
  const given = {
    POSTGRES_PASSWORD: 'a1',
    REDIS_PASSWORD: 'b2',
    MILLRACE_SECRET_KEYS: Buffer.alloc(32, 7).toString('base64'),
  };

  test('every variable that it sets for Millrace is one that Millrace knows', () => {
    const set = ours.flatMap(([, { environment }]) => Object.keys(environment ?? {}));
    expect(set.length).toBeGreaterThan(0);
    expect(set.filter((name) => !(name in VARIABLES))).toEqual([]);
  });

  test.each(['api', 'worker', 'migrate'] as const)('%s gets a configuration that it starts with', (role) => {
    const { command, environment = {} } = compose.services[role] ?? {};
    expect(command).toEqual([role]);
    const env = Object.entries(environment).map(([name, value]) => [name, filledIn(value, given)]);
    expect(loadConfig(Object.fromEntries(env) as Record<string, string>, role)).toMatchObject({
      databaseUrl: 'postgres://millrace:a1@postgres:5432/millrace',
      temporal: { address: 'temporal:7233' },
    });
  });

  test.each(Object.keys(given))('refuses to be without %s', (missing) => {
    const rest = Object.fromEntries(Object.entries(given).filter(([name]) => name !== missing));
    const fill = (): string[] =>
      services.flatMap(([, { environment }]) =>
        Object.values(environment ?? {}).map((value) => filledIn(value, rest)),
      );
    expect(fill).toThrow(`${missing} is needed`);
  });

  test('holds no secret of its own', () => {
    const text = read('docker-compose.yml');
    const lines = text.split('\n').filter((line) => /^\s+\w*(PASSWORD|PWD|SECRET|AUTH)\w*:/.test(line));
    expect(lines.length).toBeGreaterThan(4);
    expect(lines.filter((line) => !line.includes('${'))).toEqual([]);
  });

  test('only the balancer and the Temporal UI are published, on the loopback', () => {
    const published = services.flatMap(([name, { ports = [] }]) =>
      ports.map((port) => [name, filledIn(port, {})]),
    );
    expect(published).toEqual([
      ['balancer', '127.0.0.1:3000:8080'],
      ['temporal-ui', '127.0.0.1:8233:8080'],
    ]);
  });

  test('two API and two worker containers run, after the migration', () => {
    for (const role of ['api', 'worker']) {
      expect(compose.services[role]).toMatchObject({
        deploy: { replicas: 2 },
        depends_on: { migrate: { condition: 'service_completed_successfully' } },
      });
    }
  });

  test('every image is pinned, and every file and volume that is mounted is there', () => {
    const unpinned = services.filter(([, { image }]) => !/:v?\d+\.\d+[\w.-]*$/.test(image ?? ''));
    expect(unpinned).toEqual([]);
    const sources = services.flatMap(([, { volumes = [] }]) =>
      volumes.map((mount) => mount.split(':')[0] ?? ''),
    );
    expect(sources.length).toBeGreaterThan(0);
    for (const source of sources) {
      if (source.startsWith('./')) expect(read(source)).not.toBe('');
      else expect(Object.keys(compose.volumes)).toContain(source);
    }
  });

  test('the image is of this version', () => {
    const { version } = JSON.parse(read('package.json')) as { version: string };
    expect(new Set(ours.map(([, { image }]) => image))).toEqual(new Set([`millrace:${version}`]));
  });
});

describe('deploy/temporal-dynamic-config.yaml', () => {
  test('turns on what the development server is started with', () => {
    const values = Object.entries(
      parse(read('deploy/temporal-dynamic-config.yaml')) as Record<string, { value: unknown }[]>,
    ).map(([name, [setting]]) => `${name}=${String(setting?.value)}`);
    const [, development = ''] = /fairness = \[([^\]]*)\]/.exec(read('tools/servers/temporal.ts')) ?? [];
    expect(values).toEqual([...development.matchAll(/'(.*?)'/g)].map(([, value]) => value));
  });
});

describe('deploy/nginx.conf', () => {
  const config = read('deploy/nginx.conf');

  test('a client cannot claim to come from elsewhere: every private address is trusted behind it', () => {
    expect(config).toMatch(/proxy_set_header X-Forwarded-For \$remote_addr;/);
    const { MILLRACE_TRUSTED_PROXIES: trusted = '' } = compose.services['api']?.environment ?? {};
    expect(filledIn(trusted, {})).toContain('172.16.0.0/12');
  });

  test('lets events out and uploads in as they come', () => {
    expect(config).toMatch(/proxy_buffering off;/);
    expect(config).toMatch(/proxy_request_buffering off;/);
    expect(config).toMatch(/proxy_read_timeout 1h;/);
  });

  test('lets through what the API takes, so that the API answers what is too large', () => {
    const gigabytes = Number(/client_max_body_size (\d+)g;/.exec(config)?.[1]);
    const bytesMax = VARIABLES.MILLRACE_UPLOAD_BYTES_MAX.schema.parse(undefined);
    expect(gigabytes * 2 ** 30).toBeGreaterThan(bytesMax);
  });

  test('lets WebSockets through, and no other upgrade', () => {
    expect(config).toContain('proxy_set_header Upgrade $websocket_upgrade;');
    expect(config).toContain('proxy_set_header Connection $websocket_connection;');
    expect(config).toMatch(
      /map \$http_upgrade \$websocket_upgrade \{\s+default "";\s+~\*\^websocket\$ websocket;\s+\}/,
    );
  });

  const hasNginx = spawnSync('nginx', ['-v']).status === 0;
  (hasNginx ? test : test.skip)('is what nginx itself takes', () => {
    const { status, stderr } = spawnSync('nginx', ['-t', '-c', path.join(root, 'deploy/nginx.conf')]);
    expect(`${status} ${stderr.toString()}`).toMatch(/^0 /);
  });
});
