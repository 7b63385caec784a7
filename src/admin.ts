/** The command line of `main admin`: arguments to a command, its result to a line of JSON. */
import { parseArgs } from 'node:util';
import { SCOPES, type Scope } from './domain/key/scopes';

/** The arguments don't make sense. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface KeyWish {
  tenantId: string;
  name: string;
  scopes: readonly Scope[];
  expiresAt: Date | null;
}

export interface AdminCommands {
  /** Makes the first tenant and its admin key; where a tenant exists, nothing. Safe against two at once. */
  bootstrap(): Promise<{ tenant_id: string; admin_key: string } | Record<string, never>>;
  /** @throws AppError `not_found` where there is no such tenant */
  createKey(wish: KeyWish): Promise<{ key_id: string; key: string }>;
}

/** A command that is understood but has yet to run. @throws UsageError */
export function parseAdmin(args: readonly string[]): (commands: AdminCommands) => Promise<object> {
  const [command, ...rest] = args;
  if (command === 'bootstrap' && rest.length === 0) return (commands) => commands.bootstrap();
  if (command !== 'create-key') throw new UsageError(`unknown admin command: ${args.join(' ') || '(none)'}`);
  const wish = parseWish(rest);
  return (commands) => commands.createKey(wish);
}

const NAME_DEFAULT = 'made on the command line';

function parseWish(args: readonly string[]): KeyWish {
  const options = readOptions(args);
  if (!options.tenant || !options.scopes) throw new UsageError('--tenant and --scopes are needed');
  return {
    tenantId: options.tenant,
    name: options.name || NAME_DEFAULT,
    scopes: [...new Set(options.scopes.split(',').map(toScope))],
    expiresAt: options['expires-at'] ? toTime(options['expires-at']) : null,
  };
}

function readOptions(args: readonly string[]) {
  const text = { type: 'string' } as const;
  try {
    const options = { tenant: text, scopes: text, name: text, 'expires-at': text };
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function toScope(text: string): Scope {
  const scope = SCOPES.find((known) => known === text.trim());
  if (scope === undefined) throw new UsageError(`--scopes: ${text} is none of ${SCOPES.join(', ')}`);
  return scope;
}

function toTime(text: string): Date {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) throw new UsageError(`--expires-at: ${text} is no RFC 3339 time`);
  return time;
}
