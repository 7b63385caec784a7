/** All that happens to a tenant: there is no state to show, and no end. */
import { topicFor } from '../../domain/realtime/event';
import { FLEETING } from '../../domain/realtime/topic-log';
import type { TopicLog } from './ports';
import type { Subject } from './subject';

export function tenantSubject(log: TopicLog, tenantId: string): Subject {
  const topic = topicFor.tenant(tenantId);
  return {
    topic,
    async open() {
      const cursor = await log.cursor(topic).catch(() => undefined);
      if (cursor === undefined) return { messages: [], cursor, over: false };
      return {
        messages: [{ id: cursor, event: 'ready', data: `{"cursor":${cursor}}` }],
        cursor,
        over: false,
      };
    },
    // The exact text, as webhooks deliver it.
    toMessage: ({ id, payload }) => ({ ...(id === FLEETING ? {} : { id }), event: 'event', data: payload }),
    isLast: () => false,
    last: async () => undefined,
  };
}
