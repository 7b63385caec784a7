/** The namespace, and what operators may search workflows by; made known to the server once, also to one that is not ours. */
import { Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time';
import { SEARCH_ATTRIBUTE_NAMES } from '../../domain/batch/engine';

/** `IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD` of Temporal's API. */
const KEYWORD = 2;
/** gRPC status codes */
const NOT_FOUND = 5;
const ALREADY_EXISTS = 6;
const KNOWN_TRIES = 60;
const KNOWN_INTERVAL_MS = 500;
/** How long Temporal keeps the history of a workflow that ended. */
const RETENTION_MS = 7 * 86_400_000;

export interface TemporalTarget {
  address: string;
  namespace: string;
}

/** Registers what is missing; again, or by two at once, is fine. */
export async function registerSearchAttributes(connection: Connection, namespace: string): Promise<void> {
  const known = await connection.operatorService.listSearchAttributes({ namespace });
  const missing = Object.values(SEARCH_ATTRIBUTE_NAMES).filter((name) => !(name in known.customAttributes));
  if (missing.length === 0) return;
  const searchAttributes = Object.fromEntries(missing.map((name) => [name, KEYWORD]));
  await connection.operatorService.addSearchAttributes({ namespace, searchAttributes }).catch(unlessThere);
}

/** Makes the namespace where it is missing and registers the attributes, with a connection of its own: for `migrate`. */
export async function prepareNamespace({ address, namespace }: TemporalTarget): Promise<void> {
  const connection = await Connection.connect({ address });
  try {
    await registerNamespace(connection, namespace);
    await onceKnown(() => registerSearchAttributes(connection, namespace));
  } finally {
    await connection.close();
  }
}

async function registerNamespace(connection: Connection, namespace: string): Promise<void> {
  try {
    await connection.workflowService.describeNamespace({ namespace });
  } catch (error) {
    if (codeOf(error) !== NOT_FOUND) throw error;
    const workflowExecutionRetentionPeriod = msToTs(RETENTION_MS);
    await connection.workflowService
      .registerNamespace({ namespace, workflowExecutionRetentionPeriod })
      .catch(unlessThere);
  }
}

/** A frontend that has just said that there is no such namespace remembers so for some seconds. */
async function onceKnown(work: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (codeOf(error) !== NOT_FOUND || tries === KNOWN_TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, KNOWN_INTERVAL_MS));
    }
  }
}

function unlessThere(error: unknown): void {
  if (codeOf(error) !== ALREADY_EXISTS) throw error;
}

function codeOf(error: unknown): number | undefined {
  return (error as { code?: number }).code;
}
