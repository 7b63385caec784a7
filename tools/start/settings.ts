import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { StartFailure } from '../process/failure';

export type PortName = 'api' | 'postgres' | 'redis' | 'temporal' | 'temporal_ui';

/** What a person may decide by variables; everything else is found out. */
export interface Settings {
  readonly root: string;
  readonly dataFolder: string;
  /** Address the API listens on. */
  readonly host: string;
  /** Ports given by variables: these are taken or it is an error; 0 is any free one. */
  readonly ports: Readonly<Partial<Record<PortName, number>>>;
  /** Servers that exist already; the part concerned is not started. */
  readonly databaseUrl: string | null;
  readonly redisUrl: string | null;
  readonly temporalAddress: string | null;
  readonly temporalUiUrl: string | null;
  readonly env: NodeJS.ProcessEnv;
}

const portVariables: Readonly<Record<PortName, string>> = {
  api: 'PORT',
  postgres: 'MILLRACE_POSTGRES_PORT',
  redis: 'MILLRACE_REDIS_PORT',
  temporal: 'MILLRACE_TEMPORAL_PORT',
  temporal_ui: 'MILLRACE_TEMPORAL_UI_PORT',
};

/** The name of the variable that decides a port, for messages. */
export function portVariable(name: PortName): string {
  return portVariables[name];
}

export function readSettings(root: string, env: NodeJS.ProcessEnv): Settings {
  return {
    root,
    dataFolder: path.resolve(root, env.MILLRACE_DATA_DIR || '.millrace'),
    // On one machine, nothing but this machine needs to get in; HOST opens it.
    host: env.HOST || '127.0.0.1',
    ports: readPorts(env),
    databaseUrl: env.DATABASE_URL || null,
    redisUrl: env.REDIS_URL || null,
    temporalAddress: env.TEMPORAL_ADDRESS || null,
    temporalUiUrl: env.TEMPORAL_UI_URL || null,
    env,
  };
}

/** Makes the data folder, for us alone; as root others may pass through it, for PostgreSQL runs as another user. */
export function makeDataFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 });
  } catch (error) {
    throw new StartFailure(
      `The data folder ${folder} can't be made (${(error as Error).message}); set MILLRACE_DATA_DIR to one that can`,
    );
  }
}

function readPorts(env: NodeJS.ProcessEnv): Partial<Record<PortName, number>> {
  const ports: Partial<Record<PortName, number>> = {};
  for (const [name, variable] of Object.entries(portVariables) as [PortName, string][]) {
    const text = env[variable];
    if (!text) continue;
    const port = Number(text);
    if (!Number.isInteger(port) || port < 0 || port > 65_535) {
      throw new StartFailure(`${variable} must be a port from 0 to 65535, not "${text}"`);
    }
    ports[name] = port;
  }
  return ports;
}
