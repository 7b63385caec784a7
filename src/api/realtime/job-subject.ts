/** A job as the subject of a topic: the state first, then what happens to it, last the job as it ended. */
import { isFinal } from '../../domain/batch/status';
import { topicFor } from '../../domain/realtime/event';
import { isDeletion } from '../../domain/realtime/publication';
import { doneMessage, isLast, snapshotMessage, toMessage } from './job-message';
import type { JobRef, ReadJob, TopicLog } from './ports';
import type { Opening, Subject } from './subject';

export interface SubjectDeps {
  log: TopicLog;
  readJob: ReadJob;
}

export function jobSubject({ log, readJob }: SubjectDeps, ref: JobRef): Subject {
  const topic = topicFor.job(ref.jobId);
  return {
    topic,
    async open(): Promise<Opening> {
      const cursor = await log.cursor(topic).catch(() => undefined);
      const job = await readJob(ref);
      if (!isFinal(job.status)) return { messages: [snapshotMessage(job, cursor)], cursor, over: false };
      const end = await log.finalCursor(topic).catch(() => undefined);
      // Only `done` has an id: a client cut off before it must not be told that it has seen all.
      return { messages: [snapshotMessage(job, undefined), doneMessage(job, end)], cursor: end, over: true };
    },
    toMessage,
    isLast,
    async last(entry) {
      if (isDeletion(entry.type)) return toMessage(entry);
      const job = await readJob(ref);
      return isFinal(job.status) ? doneMessage(job, entry.id) : undefined;
    },
  };
}
