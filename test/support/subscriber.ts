/** A subscriber of a job's events, as a browser is one: it reconnects by itself and resumes. */
import { EventSource } from 'eventsource';
import type { Counts } from '../../src/domain/batch/job';
import type { Product } from './product';

export interface SeenEvent {
  event: string;
  data: { status?: string; type?: string; counts?: Counts };
}

export interface Subscriber {
  /** everything so far, in order */
  readonly seen: readonly SeenEvent[];
  close(): void;
}

const EVENTS = ['snapshot', 'progress', 'status', 'reset', 'done'];

export function followJob(product: Product, id: string): Subscriber {
  const seen: SeenEvent[] = [];
  const source = new EventSource(`${product.url}/v1/jobs/${id}/events`, {
    fetch: (url, init) =>
      fetch(url, { ...init, headers: { ...init.headers, authorization: `Bearer ${product.key}` } }),
  });
  for (const event of EVENTS) {
    source.addEventListener(event, ({ data }) =>
      seen.push({ event, data: JSON.parse(data as string) as SeenEvent['data'] }),
    );
  }
  return { seen, close: () => source.close() };
}
