/** The names of topics, and who may follow which. */
import { AppError } from '../../domain/errors';
import { tryDecodeId } from '../../domain/ids';
import type { Principal, Scope } from '../../domain/key/scopes';
import type { ReadJob } from './ports';
import type { FollowedTopic } from './streams';

/** `job:{job_id}`, `tenant` (the asker's own) or `tenant:{tnt_…}`. */
export type TopicName = { kind: 'job'; jobId: string } | { kind: 'tenant'; tenantId?: string };

/** @returns undefined for what names no topic */
export function parseTopic(text: string): TopicName | undefined {
  if (text === 'tenant') return { kind: 'tenant' };
  const colon = text.indexOf(':');
  const [kind, id] = [text.slice(0, colon), text.slice(colon + 1)];
  if (kind === 'job' && tryDecodeId('job', id) !== undefined) return { kind, jobId: id };
  if (kind === 'tenant' && tryDecodeId('tenant', id) !== undefined) return { kind, tenantId: id };
  return undefined;
}

/** What following it takes; `admin` satisfies each. */
export const TOPIC_SCOPES: Readonly<Record<TopicName['kind'], readonly Scope[]>> = {
  job: ['jobs:read'],
  tenant: ['events:read'],
};

export interface TopicAsker {
  principal: Pick<Principal, 'tenantId' | 'scopes'>;
  /** names that a ticket is good for; null or left out: all that the scopes show */
  topics?: readonly string[] | null | undefined;
}

/**
 * Of which the job, or another tenant, has still to be looked up.
 * @throws AppError `missing_scope`; `not_found` where it is another tenant's or not one of the ticket's
 */
export function mayFollow(name: TopicName, { principal, topics }: TopicAsker): FollowedTopic {
  const isAdmin = principal.scopes.includes('admin');
  const missing = TOPIC_SCOPES[name.kind].filter((scope) => !isAdmin && !principal.scopes.includes(scope));
  if (missing.length > 0)
    throw new AppError('missing_scope', `This topic needs the scope ${missing.join(', ')}.`);
  const topic: FollowedTopic =
    name.kind === 'job'
      ? { kind: 'job', tenantId: principal.tenantId, jobId: name.jobId }
      : { kind: 'tenant', tenantId: name.tenantId ?? principal.tenantId };
  if (topic.tenantId !== principal.tenantId && !isAdmin) throw noSuchTopic();
  const shown = topics ?? undefined;
  if (shown !== undefined && !namesOf(topic, principal).some((own) => shown.includes(own)))
    throw noSuchTopic();
  return topic;
}

/** A tenant's own topic has two names. */
function namesOf(topic: FollowedTopic, { tenantId }: TopicAsker['principal']): string[] {
  if (topic.kind === 'job') return [`job:${topic.jobId}`];
  const full = `tenant:${topic.tenantId}`;
  return topic.tenantId === tenantId ? ['tenant', full] : [full];
}

/** The same whether there is none or it is not for the asker. */
function noSuchTopic(): AppError {
  return new AppError('not_found', 'There is no such topic.');
}

export interface TopicGateDeps {
  readJob: ReadJob;
  tenantExists(tenantId: string): Promise<boolean>;
}

export interface TopicGate {
  /** @throws AppError as `mayFollow`; `not_found` also where there is no such job or tenant */
  admit(name: TopicName, asker: TopicAsker): Promise<FollowedTopic>;
}

export function createTopicGate({ readJob, tenantExists }: TopicGateDeps): TopicGate {
  return {
    async admit(name, asker) {
      const topic = mayFollow(name, asker);
      if (topic.kind === 'job') await readJob(topic);
      else if (topic.tenantId !== asker.principal.tenantId && !(await tenantExists(topic.tenantId))) {
        throw noSuchTopic();
      }
      return topic;
    },
  };
}
