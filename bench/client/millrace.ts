import { once } from 'node:events';
import { createReadStream, createWriteStream, statSync } from 'node:fs';
import http from 'node:http';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { EventSource } from 'eventsource';
import type { DevFacts } from '../../tools/start/dev-json';

export interface JobAnswer {
  readonly id: string;
  readonly status: string;
  readonly counts: Readonly<Record<string, number>>;
}

/** A client of the API that costs little, so that the bench measures the other side: files in, files out. */
export interface MillraceClient {
  /** Sends JSON and answers the body as text; rejects with the problem for anything but success. */
  send(method: string, route: string, body?: unknown): Promise<string>;
  upload(jobId: string, file: string): Promise<void>;
  download(jobId: string, file: string): Promise<void>;
  /** Follows the job's event stream to its `done`. */
  ended(jobId: string): Promise<JobAnswer>;
  close(): void;
}

interface Sending {
  readonly headers?: http.OutgoingHttpHeaders;
  readonly body?: string | NodeJS.ReadableStream;
}

const readBytes = 256 * 1024;

export function createMillraceClient(facts: Pick<DevFacts, 'api_url' | 'admin_key'>): MillraceClient {
  const agent = new http.Agent({ keepAlive: true });
  const authorization = `Bearer ${facts.admin_key}`;
  const exchange = (method: string, route: string, sending: Sending): Promise<http.IncomingMessage> => {
    const headers = { authorization, ...sending.headers };
    return perform(http.request(facts.api_url + route, { method, agent, headers }), sending.body);
  };
  return {
    send: async (method, route, body) => {
      const sending =
        body === undefined
          ? {}
          : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
      return text(await exchange(method, route, sending));
    },
    upload: async (jobId, file) => {
      const headers = { 'content-type': 'application/x-ndjson', 'content-length': statSync(file).size };
      const body = createReadStream(file, { highWaterMark: readBytes });
      await text(await exchange('PUT', `/v1/jobs/${jobId}/items`, { headers, body }));
    },
    download: async (jobId, file) => {
      const response = await exchange('GET', `/v1/jobs/${jobId}/results`, {});
      await pipeline(response, createWriteStream(file));
    },
    ended: (jobId) => followToEnd(`${facts.api_url}/v1/jobs/${jobId}/events`, authorization),
    close: () => {
      agent.destroy();
    },
  };
}

async function perform(
  request: http.ClientRequest,
  body: string | NodeJS.ReadableStream | undefined,
): Promise<http.IncomingMessage> {
  const answered = once(request, 'response') as Promise<[http.IncomingMessage]>;
  if (body === undefined || typeof body === 'string') {
    request.end(body);
  } else {
    // A server that refuses an upload answers before it has taken all of it; the answer says more than the broken pipe.
    void pipeline(body, request).catch(() => undefined);
  }
  const [response] = await answered;
  const { statusCode = 0 } = response;
  if (statusCode >= 200 && statusCode < 300) return response;
  throw new Error(`${request.method} ${request.path}: ${statusCode} ${await text(response)}`);
}

async function followToEnd(url: string, authorization: string): Promise<JobAnswer> {
  const events = new EventSource(url, {
    fetch: async (address, init) => fetch(address, { ...init, headers: { ...init.headers, authorization } }),
  });
  try {
    return await new Promise<JobAnswer>((resolve, reject) => {
      events.addEventListener('done', ({ data }) => {
        resolve(JSON.parse(data as string) as JobAnswer);
      });
      events.addEventListener('error', ({ code, message }) => {
        // Without a code the connection broke: it is made again.
        if (code !== undefined) reject(new Error(`The event stream was refused: ${code} ${message ?? ''}`));
      });
    });
  } finally {
    events.close();
  }
}
