import type { ProcessIdentity } from '../process/identity';
import { type Addresses, reachable } from './addresses';
import { type DevFacts, writeDevJson } from './dev-json';
import { type Attempt, type Stage, say, showStages } from './display';
import { endLeftovers, livingLeftovers } from './leftovers';
import type { Lock } from './lock';
import { type PartContext, bringUpPostgres, bringUpRedis, bringUpTemporal } from './parts';
import { choosePorts } from './port-book';
import { type ProductPlace, apiServer, bootstrap, migrate, workerServer } from './product';
import { type Role, roles } from './roles';
import { databaseName, openSecrets } from './secrets';
import type { PortName, Settings } from './settings';
import type { StateFile } from './state-file';
import type { Supervisor } from './supervisor';

export interface RunContext {
  readonly settings: Settings;
  readonly state: StateFile;
  readonly lock: Lock;
  readonly supervisor: Supervisor;
  readonly attempt: Attempt;
}

export interface Running {
  readonly addresses: Addresses;
  /** Only when it was made by this very start. */
  readonly newAdminKey: string | null;
  /** Writes dev.json with the pids of now. */
  refreshDevJson(): void;
}

/** Brings everything up, with a display, and resolves when it serves. */
export async function bringUp(context: RunContext): Promise<Running> {
  const { settings, attempt } = context;
  const { signal } = attempt.givenUp;
  const secrets = openSecrets(settings.dataFolder);
  await showStages([leftoverStage(context.state)], attempt);
  const ports = await choosePorts(settings);
  const part: PartContext = { settings, ports, secrets, supervisor: context.supervisor, signal };
  const found: Partial<Found> = {};
  await showStages([serverStage(part, found)], attempt);
  signal.throwIfAborted();
  const addresses = completeAddresses(part, found as Found);
  const place: ProductPlace = { settings, addresses, secretKeys: secrets.secretKeys, signal };
  context.lock.setAddress(addresses.apiUrl);
  let newAdminKey: string | null = null;
  const database = databaseName(settings.databaseUrl);
  const stages: Stage[] = [
    { title: 'Migrate', run: () => migrate(place) },
    {
      title: 'First tenant',
      run: async () => {
        newAdminKey = await bootstrap(place);
        if (newAdminKey) secrets.keepAdminKey(database, newAdminKey);
      },
    },
    productStage(context, place),
  ];
  await showStages(stages, attempt);
  const refreshDevJson = (): void => {
    writeDevJson(settings.dataFolder, devFacts(context, addresses, secrets.adminKeyOf(database)));
  };
  refreshDevJson();
  for (const { name, port } of ports.displaced) {
    say(`${titles[name] ?? name}: on port ${ports.of[name]}, for ${port} is not free`);
  }
  return { addresses, newAdminKey, refreshDevJson };
}

const titles: Partial<Record<PortName, string>> = { api: 'API', temporal_ui: 'Temporal UI' };

interface Found {
  databaseUrl: string;
  redisUrl: string;
  temporal: { address: string; uiUrl: string | null };
}

function leftoverStage(state: StateFile): Stage {
  const living: [Role, ProcessIdentity][] = livingLeftovers(state);
  const names = living.map(([role, { pid }]) => `${role} ${pid}`).join(', ');
  return {
    title: `End what an earlier run left (${names})`,
    when: () => living.length > 0,
    run: () => endLeftovers(state),
  };
}

function serverStage(part: PartContext, found: Partial<Found>): Stage {
  return {
    title: 'Servers',
    together: [
      {
        title: 'PostgreSQL',
        run: async (progress) => {
          found.databaseUrl = await bringUpPostgres(part, progress);
        },
      },
      {
        title: 'Redis',
        run: async (progress) => {
          found.redisUrl = await bringUpRedis(part, progress);
        },
      },
      {
        title: 'Temporal and its web UI',
        run: async (progress) => {
          found.temporal = await bringUpTemporal(part, progress);
        },
      },
    ],
  };
}

function productStage({ supervisor }: RunContext, place: ProductPlace): Stage {
  return {
    title: 'Millrace',
    together: [
      { title: 'API', run: () => supervisor.start('api', apiServer(place)) },
      { title: 'Worker', run: () => supervisor.start('worker', workerServer(place)) },
    ],
  };
}

function completeAddresses({ settings, ports }: PartContext, found: Found): Addresses {
  const apiPort = ports.of.api;
  return {
    apiPort,
    apiUrl: reachable(settings.host, apiPort),
    databaseUrl: found.databaseUrl,
    redisUrl: found.redisUrl,
    temporalAddress: found.temporal.address,
    temporalUiUrl: found.temporal.uiUrl,
  };
}

function devFacts({ supervisor }: RunContext, addresses: Addresses, adminKey: string | null): DevFacts {
  return {
    api_url: addresses.apiUrl,
    admin_key: adminKey,
    temporal_address: addresses.temporalAddress,
    temporal_ui_url: addresses.temporalUiUrl,
    database_url: addresses.databaseUrl,
    redis_url: addresses.redisUrl,
    pids: Object.fromEntries(roles.map((role) => [role, supervisor.pidOf(role)])) as DevFacts['pids'],
  };
}
