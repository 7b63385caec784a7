/** The command line of `main admin`: arguments to a command, its result to a line of JSON. */
import { parseArgs } from 'node:util';
import { SCOPES, type Scope } from './domain/key/scopes';

/** The arguments don't make sense. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface KeyWish {
  /** left out: the tenant that was there first */
  tenantId?: string | undefined;
  name: string;
  scopes: readonly Scope[];
  expiresAt: Date | null;
}

export interface AdminCommands {
  /** Makes the first tenant and its admin key; where a tenant exists, nothing. Safe against two at once. */
  bootstrap(): Promise<{ tenant_id: string; admin_key: string } | Record<string, never>>;
  /** @throws AppError `not_found` where there is no such tenant */
  createKey(wish: KeyWish): Promise<{ key_id: string; key: string }>;
  /** Newest first, as the API shows them. @throws AppError `not_found` where there is no such tenant */
  listKeys(of: { tenantId?: string | undefined }): Promise<{ data: object[] }>;
  /** @throws AppError `not_found`, `last_admin_key` */
  revokeKey(keyId: string): Promise<object>;
}

type Command = (commands: AdminCommands) => Promise<object>;

/** A command that is understood but has yet to run. @throws UsageError */
export function parseAdmin(args: readonly string[]): Command {
  const [command, ...rest] = args;
  switch (command) {
    case 'bootstrap':
      readOptions(rest, []);
      return (commands) => commands.bootstrap();
    case 'create-key': {
      const wish = toWish(readOptions(rest, ['tenant', 'scopes', 'name', 'expires-at']));
      return (commands) => commands.createKey(wish);
    }
    case 'list-keys': {
      const { tenant } = readOptions(rest, ['tenant']);
      return (commands) => commands.listKeys({ tenantId: tenant });
    }
    case 'revoke-key': {
      const [keyId, ...more] = rest;
      if (keyId === undefined || more.length > 0) throw new UsageError('revoke-key takes the id of one key');
      return (commands) => commands.revokeKey(keyId);
    }
    default:
      throw new UsageError(`unknown admin command: ${args.join(' ') || '(none)'}`);
  }
}

const NAME_DEFAULT = 'made on the command line';
const SCOPES_DEFAULT = 'admin';

type Option = 'tenant' | 'scopes' | 'name' | 'expires-at';
type Options = { [O in Option]?: string | undefined };

function toWish(options: Options): KeyWish {
  return {
    tenantId: options.tenant,
    name: options.name || NAME_DEFAULT,
    scopes: [...new Set((options.scopes ?? SCOPES_DEFAULT).split(',').map(toScope))],
    expiresAt: options['expires-at'] ? toTime(options['expires-at']) : null,
  };
}

function readOptions(args: readonly string[], known: readonly Option[]): Options {
  try {
    const options = Object.fromEntries(known.map((name) => [name, { type: 'string' } as const]));
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
