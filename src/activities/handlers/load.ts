/** Handlers of one's own, one file each in the folder that `MILLRACE_HANDLERS_DIR` names: compiled code, or a declaration. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import type { Handler } from '../../domain/handler/contract';
import { defineHandler, toHandler } from './define-handler';
import type { AnyDefinition } from './definition';
import { ItemFailure } from './failure';
import { toRemoteHandler } from './remote-handler';

/** What a handler's file is given, so that it need not import Millrace nor zod. */
export interface HandlerKit {
  defineHandler: typeof defineHandler;
  ItemFailure: typeof ItemFailure;
  z: typeof z;
}

const MODULE = /\.[cm]?js$/;
/** Declares a handler that is served in another language, see docs/remote-handlers.md. */
const DECLARATION = /\.handler\.json$/;

/**
 * Every `.js`, `.cjs` and `.mjs` file of `dir` itself, in order of name. Each exports, as `handler` or as its default, a handler
 * made by `defineHandler`, a definition, or a function from the kit to one of these. And every `<name>.handler.json`.
 * @throws Error that names the file
 */
export async function loadHandlers(dir: string): Promise<Handler[]> {
  const files = await readdir(dir);
  const names = files.filter((name) => MODULE.test(name) || DECLARATION.test(name)).toSorted();
  const handlers: Handler[] = [];
  for (const name of names) handlers.push(await loadHandler(path.resolve(dir, name)));
  return handlers;
}

async function loadHandler(file: string): Promise<Handler> {
  try {
    if (DECLARATION.test(file)) return await loadDeclaration(file);
    const exported = findExport((await import(pathToFileURL(file).href)) as Record<string, unknown>);
    if (exported === undefined) throw new Error('it exports neither `handler` nor a default');
    return makeHandler(exported);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`The handler in ${file} cannot be loaded: ${why}`, { cause: error });
  }
}

async function loadDeclaration(file: string): Promise<Handler> {
  const handler = toRemoteHandler(JSON.parse(await readFile(file, 'utf8')));
  const named = path.basename(file).replace(DECLARATION, '');
  if (handler.name !== named) throw new Error(`it declares ${handler.name}, but is named ${named}`);
  return handler;
}

/** The default of a CommonJS module is `module.exports`, which may hold `handler` or a `default` in turn. */
function findExport(module: Record<string, unknown>): unknown {
  if (module.handler !== undefined) return module.handler;
  const fallback = module.default;
  if (!isObject(fallback)) return fallback;
  return fallback.handler ?? fallback.default ?? (Object.keys(fallback).length > 0 ? fallback : undefined);
}

type Maker = (kit: HandlerKit) => unknown;

function makeHandler(exported: unknown): Handler {
  const kit: HandlerKit = { defineHandler, ItemFailure, z };
  const made: unknown = typeof exported === 'function' ? (exported as Maker)(kit) : exported;
  if (!isObject(made)) throw new Error('what it exports is no handler');
  return typeof made.runItems === 'function'
    ? (made as unknown as Handler)
    : toHandler(made as unknown as AnyDefinition);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
