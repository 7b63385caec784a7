import { readJson } from '../process/json-file';
import { StartFailure } from '../process/failure';
import { type DevFacts, devJsonFile } from '../start/dev-json';

export interface Api {
  readonly url: string;
  readonly key: string;
  /** As fetch, with the key; rejects with the problem's words for anything but success. */
  send(method: string, route: string, init?: RequestInit & { duplex?: 'half' }): Promise<Response>;
  /** Sends and gets JSON. */
  json<T>(method: string, route: string, body?: unknown): Promise<T>;
}

/** The running copy that dev.json tells of; MILLRACE_KEY replaces its admin key. */
export function connect(dataFolder: string, env: NodeJS.ProcessEnv): Api {
  const facts = readJson(devJsonFile(dataFolder)) as DevFacts | null;
  if (!facts) throw new StartFailure(`No Millrace is running on ${dataFolder}`);
  const key = env.MILLRACE_KEY || facts.admin_key;
  if (!key)
    throw new StartFailure('This copy did not make its first tenant itself: set MILLRACE_KEY to an API key');
  const url = facts.api_url;
  const send: Api['send'] = async (method, route, init = {}) => {
    const headers = { ...init.headers, authorization: `Bearer ${key}` };
    const response = await fetch(url + route, { ...init, method, headers }).catch((cause: unknown) => {
      throw new StartFailure(`Millrace does not answer at ${url}: ${reasonOf(cause)}`);
    });
    if (!response.ok) {
      throw new StartFailure(`${method} ${route}: ${response.status} ${await response.text()}`);
    }
    return response;
  };
  const json = async <T>(method: string, route: string, body?: unknown): Promise<T> => {
    const sent =
      body === undefined
        ? {}
        : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
    return (await (await send(method, route, sent)).json()) as T;
  };
  return { url, key, send, json };
}

/** fetch wraps what happened in an error that says nothing. */
function reasonOf(error: unknown): string {
  const { cause, message } = error as { cause?: { code?: string }; message: string };
  return cause?.code ?? message;
}
