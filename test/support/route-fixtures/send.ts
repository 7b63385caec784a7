/** One request over HTTP, as anybody could send it. */
import type { Reply } from '../api';

export interface Sent {
  url: string;
  method: string;
  headers: Record<string, string>;
  json?: unknown;
  text?: string;
}

/** Of an event stream only the beginning counts: it is left at once. */
export async function send({ url, method, headers, json, text }: Sent): Promise<Reply> {
  const body =
    method === 'HEAD' ? undefined : (text ?? (json === undefined ? undefined : JSON.stringify(json)));
  const response = await fetch(url, {
    method,
    redirect: 'manual',
    headers: { ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body }),
  });
  const type = response.headers.get('content-type') ?? '';
  const answered = type.startsWith('text/event-stream') ? await leave(response) : await response.text();
  const parsed: unknown = /\bjson\b/.test(type) && answered !== '' ? JSON.parse(answered) : undefined;
  return { status: response.status, headers: response.headers, text: answered, body: parsed };
}

async function leave(response: Response): Promise<string> {
  await response.body?.cancel();
  return '';
}
