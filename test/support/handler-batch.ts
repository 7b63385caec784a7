import { setMaxListeners } from 'node:events';
import { DEFAULT_OPTIONS, type JobOptions, type Json } from '../../src/domain/batch/job';
import type {
  Concurrency,
  Handler,
  HandlerItem,
  ItemOutcome,
  RunBatch,
} from '../../src/domain/handler/contract';

export interface BatchRecord {
  batch: RunBatch;
  started: number[];
  outcomes: ItemOutcome[];
  /** by index */
  byIndex(): ItemOutcome[];
}

export interface BatchOverrides extends Partial<Omit<RunBatch, 'options' | 'concurrency'>> {
  options?: Partial<JobOptions>;
  concurrency?: number | Concurrency;
}

export function steady(concurrency: number): Concurrency {
  return { now: () => concurrency, onChange: () => () => undefined };
}

/** One that a test changes. */
export function changeable(from: number): Concurrency & { set(to: number): void } {
  const listeners = new Set<() => void>();
  let current = from;
  return {
    now: () => current,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    set(to) {
      current = to;
      for (const listener of listeners) listener();
    },
  };
}

/** As the engine's own: every item in flight listens to it. */
function quietSignal(): AbortSignal {
  const { signal } = new AbortController();
  setMaxListeners(0, signal);
  return signal;
}

/** A batch that writes down what a handler says about its items. */
export function recordBatch(overrides: BatchOverrides = {}): BatchRecord {
  const started: number[] = [];
  const outcomes: ItemOutcome[] = [];
  const silent = (): void => {};
  const batch: RunBatch = {
    tenantId: 'tnt_1',
    jobId: 'job_1',
    params: {},
    signal: quietSignal(),
    log: { debug: silent, info: silent, warn: silent, error: silent },
    mayStart: () => true,
    onStart: (item) => started.push(item.index),
    onOutcome: (outcome) => outcomes.push(outcome),
    ...overrides,
    concurrency:
      typeof overrides.concurrency === 'object' ? overrides.concurrency : steady(overrides.concurrency ?? 10),
    options: { ...DEFAULT_OPTIONS, ...overrides.options },
  };
  return { batch, started, outcomes, byIndex: () => outcomes.toSorted((a, b) => a.index - b.index) };
}

export function toItems(inputs: readonly Json[]): HandlerItem[] {
  return inputs.map((input, index) => toItem(index, JSON.stringify(input)));
}

export function toItem(index: number, inputText: string): HandlerItem {
  return { index, customId: null, inputText, idempotencyKey: `job_1:${index}` };
}

/** Runs all items and gives their outcomes by index. */
export async function runAll(
  handler: Handler,
  inputs: readonly Json[],
  overrides: BatchOverrides = {},
): Promise<ItemOutcome[]> {
  const record = recordBatch(overrides);
  await handler.runItems(toItems(inputs), record.batch);
  return record.byIndex();
}
