import { accessSync, constants, mkdirSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/**
 * Where tools that take minutes to get are kept, for all checkouts of this user: `millrace` below
 * `$XDG_CACHE_HOME` or `~/.cache`. A user without a writable home gets a folder below the system's temporary one.
 */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  const base = env.XDG_CACHE_HOME || path.join(env.HOME || os.homedir(), '.cache');
  const preferred = path.join(base, 'millrace');
  try {
    mkdirSync(preferred, { recursive: true });
    accessSync(preferred, constants.W_OK);
    return preferred;
  } catch {
    const fallback = path.join(env.TMPDIR || os.tmpdir(), `millrace-cache-${process.getuid?.() ?? 'user'}`);
    mkdirSync(fallback, { recursive: true, mode: 0o700 });
    return fallback;
  }
}
