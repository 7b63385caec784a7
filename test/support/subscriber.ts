/** A subscriber of a job's events, as a browser is one: it reconnects by itself and resumes. */
import { EventSource } from 'eventsource';
import type { Counts } from '../../src/domain/batch/job';
import type { Product } from './product';

export interface SeenEvent {
  event: string;
  /** its id, or the last one before it */
  id: string;
  data: { status?: string; type?: string; counts?: Counts };
}

export interface Subscriber {
  /** everything so far, in order */
  readonly seen: readonly SeenEvent[];
  close(): void;
}

const EVENTS = ['snapshot', 'progress', 'status', 'reset', 'done'];

/** @param url of an API process, or of what stands before it */
export function followJob(product: Product, id: string, url: string = product.url): Subscriber {
  const seen: SeenEvent[] = [];
  const source = new EventSource(`${url}/v1/jobs/${id}/events`, {
    fetch: (url, init) =>
      fetch(url, { ...init, headers: { ...init.headers, authorization: `Bearer ${product.key}` } }),
  });
  for (const event of EVENTS) {
    source.addEventListener(event, ({ data, lastEventId }) =>
      seen.push({ event, id: lastEventId, data: JSON.parse(data as string) as SeenEvent['data'] }),
    );
  }
  return { seen, close: () => source.close() };
}
