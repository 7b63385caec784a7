/**
 * Runs items through a definition: groups of items in lanes side by side, each item to its outcome.
 * A handler with `run` is the case of groups of one.
 *
 *   group: read inputs -> attempt -> answers -> outcomes
 *                           ^          `-> to be tried again -> wait -.
 *                           `------------------------------------------'
 */
import { randomInt } from 'node:crypto';
import type { HandlerItem, ItemOutcome, ItemStream, RunBatch } from '../../domain/handler/contract';
import { mayTryAgain, retryDelayMs } from '../../domain/handler/retry';
import { attempt, wait } from './attempt';
import { type AnyDefinition, type Answer, BATCH_SIZE, type Item, type ManyContext } from './definition';
import { failure, type Failure, toFailure } from './failure';
import { toOutput } from './output';
import { runLanes } from './run-lanes';

export interface Run {
  batch: RunBatch;
  definition: AnyDefinition;
  /** parsed */
  params: unknown;
}

/** A longer wait would keep a lane, and at last a slot, from other items. */
const WAIT_IN_LANE_MAX_MS = 1_000;

interface Pending {
  item: HandlerItem;
  /** made so far */
  attempts: number;
  parsed: Item<unknown>;
  startedAt: number;
}

export async function runGroups(items: ItemStream | readonly HandlerItem[], run: Run): Promise<void> {
  const { batch, definition } = run;
  const wanted = definition.runMany ? (definition.batchSize ?? BATCH_SIZE) : 1;
  const groupSize = (): number =>
    batch.oneByOne ? 1 : Math.max(1, Math.min(wanted, batch.concurrency.now()));
  const lanes = (): number => (batch.oneByOne ? 1 : Math.floor(batch.concurrency.now() / groupSize()));
  await runLanes(items, { batch, groupSize, lanes }, (group) => runGroup(group, run));
}

async function runGroup(group: readonly HandlerItem[], run: Run): Promise<void> {
  const { batch } = run;
  // Gathering a group may take its time; a pause that came meanwhile is not for the next group only.
  if (!batch.mayStart()) return;
  let pending = await readInputs(group, run);
  while (pending.length > 0) {
    const attempt = Math.max(...pending.map((one) => one.attempts)) + 1;
    const answers = await attemptGroup(pending, run, attempt);
    if (answers === 'aborted') return;
    const again = await settleGroup(pending, answers, run);
    const delayMs = Math.max(0, ...again.map((one) => one.delayMs));
    if (again.length === 0 || !(await wait(delayMs, batch.signal))) return;
    pending = await admitted(again, batch);
  }
}

/** Those that may be attempted again here and now; each counts, also in a group. The others are deferred. */
async function admitted(again: readonly Again[], { admit, onOutcome }: RunBatch): Promise<Pending[]> {
  const pending: Pending[] = [];
  for (const { one, outcome } of again) {
    if (admit === undefined || (await admit())) pending.push(one);
    else onOutcome({ ...outcome, status: 'deferred', delayMs: 0 });
  }
  return pending;
}

interface Again {
  one: Pending;
  /** what it comes to if there is no other attempt */
  outcome: ItemOutcome;
  delayMs: number;
}

/** Tells the outcomes. @returns what is tried again in this lane */
async function settleGroup(
  pending: readonly Pending[],
  answers: readonly (Answer<unknown> | Failure)[],
  run: Run,
): Promise<Again[]> {
  const again: Again[] = [];
  for (const [i, answer] of answers.entries()) {
    const one = pending[i] as Pending;
    one.attempts++;
    const { outcome, retry } = await toOutcome(one, answer, run);
    const next = retry === undefined ? undefined : nextAttempt(one, run, retry.afterMs);
    if (next === undefined) run.batch.onOutcome(outcome);
    else if (next.inLane) again.push({ one, outcome, delayMs: next.delayMs });
    else run.batch.onOutcome({ ...outcome, status: 'deferred', delayMs: next.delayMs });
  }
  return again;
}

/** How long until the next attempt and where it is waited for, or undefined: there is none. */
function nextAttempt(
  { attempts }: Pending,
  { batch }: Run,
  /** what the failure itself asks for */
  afterMs: number,
): { delayMs: number; inLane: boolean } | undefined {
  const { retry } = batch.options;
  if (!mayTryAgain(retry, attempts)) return undefined;
  const delayMs = Math.max(afterMs, retryDelayMs(retry, attempts, randomInt(1_001) / 1_000));
  return { delayMs, inLane: delayMs <= WAIT_IN_LANE_MAX_MS && batch.mayStart() };
}

/** Starts the items; those that the input schema refuses end here. */
async function readInputs(group: readonly HandlerItem[], { batch, definition }: Run): Promise<Pending[]> {
  const pending: Pending[] = [];
  for (const item of group) {
    batch.onStart(item);
    const startedAt = performance.now();
    const read = await readInput(item, definition);
    if ('failure' in read)
      batch.onOutcome(toFailed(item.index, read.failure, { attempts: (item.attempts ?? 0) + 1, startedAt }));
    else pending.push({ item, attempts: item.attempts ?? 0, startedAt, parsed: toItem(item, read.input) });
  }
  return pending;
}

function toItem({ index, customId, idempotencyKey }: HandlerItem, input: unknown): Item<unknown> {
  return { index, customId, idempotencyKey, input };
}

async function readInput(
  { inputText }: HandlerItem,
  { input: schema }: AnyDefinition,
): Promise<{ input: unknown } | { failure: Failure }> {
  try {
    const input: unknown = JSON.parse(inputText);
    if (schema === undefined) return { input };
    const parsed = await schema.safeParseAsync(input);
    if (parsed.success) return { input: parsed.data };
    return {
      failure: failure('input_invalid', `The handler refuses the input: ${describeIssues(parsed.error)}`),
    };
  } catch (error) {
    return { failure: { ...toFailure(error), retryable: false } };
  }
}

interface Issues {
  issues: readonly { path: readonly PropertyKey[]; message: string }[];
}

function describeIssues({ issues }: Issues): string {
  return issues
    .slice(0, 5)
    .map(({ path, message }) => (path.length > 0 ? `${path.map(String).join('.')}: ${message}` : message))
    .join('; ');
}

/** An answer for each item, whatever the handler did. */
async function attemptGroup(
  pending: readonly Pending[],
  run: Run,
  attempts: number,
): Promise<readonly (Answer<unknown> | Failure)[] | 'aborted'> {
  const { batch } = run;
  const end = await attempt((signal) => call(pending, run, toContext(run, signal, attempts)), {
    timeoutMs: batch.options.item_timeout_ms,
    signal: batch.signal,
  });
  if (end.kind === 'aborted') return 'aborted';
  if (end.kind === 'failed') return pending.map(() => end.failure);
  const answers: readonly unknown[] = Array.isArray(end.value) ? end.value : [];
  return pending.map((_, i) => (isAnswer(answers[i]) ? answers[i] : NO_ANSWER));
}

function isAnswer(value: unknown): value is Answer<unknown> {
  return typeof value === 'object' && value !== null && ('output' in value || 'error' in value);
}

const NO_ANSWER: Failure = failure('handler_failed', 'The handler gave no answer for this item.');

async function call(
  pending: readonly Pending[],
  { definition }: Run,
  ctx: ManyContext<unknown>,
): Promise<unknown> {
  const items = pending.map(({ parsed }) => parsed);
  if (definition.runMany) return definition.runMany(items, ctx);
  const item = items[0] as Item<unknown>;
  return [{ output: await definition.run?.(item, { ...ctx, idempotencyKey: item.idempotencyKey }) }];
}

function toContext({ batch, params }: Run, signal: AbortSignal, attempts: number): ManyContext<unknown> {
  return {
    params,
    signal,
    log: batch.log,
    tenantId: batch.tenantId,
    jobId: batch.jobId,
    attempt: attempts,
  };
}

async function toOutcome(
  { item, attempts, startedAt }: Pending,
  answer: Answer<unknown> | Failure,
  run: Run,
): Promise<{ outcome: ItemOutcome; retry?: { afterMs: number } }> {
  const output = await readAnswer(answer, run.definition);
  if (!output.ok) {
    const { retryable, retryAfterMs = 0 } = output.failure;
    return {
      outcome: toFailed(item.index, output.failure, { attempts, startedAt }),
      ...(retryable && { retry: { afterMs: retryAfterMs } }),
    };
  }
  const outcome: ItemOutcome = {
    index: item.index,
    status: 'succeeded',
    output: output.text,
    error: null,
    attempts,
    durationMs: sinceMs(startedAt),
  };
  return { outcome };
}

async function readAnswer(
  answer: Answer<unknown> | Failure,
  { output: schema }: AnyDefinition,
): Promise<ReturnType<typeof toOutput>> {
  try {
    if (isFailure(answer)) return { ok: false, failure: answer };
    if ('error' in answer) return { ok: false, failure: toFailure(answer.error) };
    if (schema === undefined) return toOutput(answer.output);
    const parsed = await schema.safeParseAsync(answer.output);
    if (parsed.success) return toOutput(parsed.data);
    const message = `The output is not what the handler promises: ${describeIssues(parsed.error)}`;
    return { ok: false, failure: failure('output_invalid', message) };
  } catch (error) {
    return { ok: false, failure: toFailure(error) };
  }
}

function isFailure(answer: Answer<unknown> | Failure): answer is Failure {
  return 'code' in answer && 'message' in answer && 'retryable' in answer;
}

export function toFailed(
  index: number,
  { code, message }: Pick<Failure, 'code' | 'message'>,
  { attempts, startedAt }: { attempts: number; startedAt: number },
): ItemOutcome {
  return {
    index,
    status: 'failed',
    output: null,
    error: { code, message },
    attempts,
    durationMs: sinceMs(startedAt),
  };
}

function sinceMs(startedAt: number): number {
  return Math.round(performance.now() - startedAt);
}
