/** `POST /v1/events`: one statement for all events of a request, whether one or a thousand. */
import { AppError } from '../../domain/errors';
import type { Stores } from '../ports';
import type { Answer } from '../respond';
import { type ApiRequest, defineRoute, type Route } from '../route';
import { eventJson, eventPath } from './event-body';
import type { EventPublisher, SchemaChecker, StrictType } from './ports';
import { type Publications, readPublications } from './publications';
import { publishedSchema, publishSchema } from './schema';
import { createStrictTypes, type Look, type StrictTypes } from './strict-types';

export interface PublishDeps {
  /** outside of any transaction: its statement is one by itself */
  publisher: EventPublisher;
  schemas: SchemaChecker;
  newEventId(): string;
  /** Whoever passes events on looks at once. */
  wake(): void;
}

const BODY_BYTES_MAX = 8 * 1024 * 1024;
/** A strict type that changes each time it was checked. */
const TRIES_MAX = 5;

const EXAMPLE = {
  type: 'order.paid',
  event_id: 'order-4711-paid',
  subject: 'order_4711',
  data: { order: 4711, amount: 25.5 },
};

export function publishEventsRoute(deps: PublishDeps): Route {
  const strictTypes = createStrictTypes(deps.schemas);
  return defineRoute({
    method: 'post',
    path: '/v1/events',
    operationId: 'publishEvents',
    summary: 'Publish events',
    description:
      'One, or `{"events": […]}` with up to 1,000: all of them, or none. `event_id` makes repeating safe for 7 days: the same ' +
      'content answers the first event, and another is a 409. Types need not be made known beforehand; where one is strict ' +
      '(`PUT /v1/event-types/{name}`), the data is held against its schema.',
    tags: ['events'],
    scopes: ['events:write'],
    idempotent: true,
    body: publishSchema,
    bodyBytesMax: BODY_BYTES_MAX,
    bodyExample: EXAMPLE,
    responses: {
      201: {
        description: 'What was published: the event, or a list of them',
        schema: publishedSchema,
        headers: { Location: 'Address of the event, where there was one' },
      },
    },
    errors: ['event_type_reserved', 'event_too_large', 'event_id_used', 'invalid_event'],
    handler: (request) => {
      const { bodyBytes } = request.ctx.state as { bodyBytes: Uint8Array };
      const publications = readPublications(bodyBytes, request.body, deps.newEventId);
      return publish(deps, { request, publications, strict: strictTypes(publications.pointerTo) });
    },
  });
}

interface Publishing {
  request: Pick<
    ApiRequest<unknown, unknown, unknown, { tenantId: string }>,
    'principal' | 'transact' | 'ctx'
  >;
  publications: Publications;
  strict: StrictTypes;
}

async function publish(deps: PublishDeps, publishing: Publishing): Promise<Answer> {
  const { strict, publications, request } = publishing;
  const { tenantId } = request.principal;
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const look = await strict.look(tenantId, publications.events);
    try {
      return await write(deps, publishing, look);
    } catch (error) {
      if (!(error instanceof Unchecked)) throw error;
      strict.learn(tenantId, error.types, look);
    }
  }
  throw new AppError('dependency_unavailable', 'An event type changes all the time.', {
    retryAfterSeconds: 1,
  });
}

/** Nothing was written: these are to be checked first. */
class Unchecked extends Error {
  constructor(readonly types: readonly StrictType[]) {
    super('strict types are not checked');
  }
}

/** Only an answer that is kept for an Idempotency-Key needs a transaction around the statement. */
async function write(deps: PublishDeps, publishing: Publishing, look: Look): Promise<Answer> {
  const { request } = publishing;
  const writeBy = (publisher: EventPublisher): Promise<Answer> => writeWith(publisher, publishing, look);
  if (request.ctx.get('Idempotency-Key') !== '') {
    return request.transact(({ events }: Pick<Stores, 'events'>) => writeBy(events));
  }
  const answer = await writeBy(deps.publisher);
  deps.wake();
  return answer;
}

async function writeWith(
  publisher: EventPublisher,
  { request, publications }: Publishing,
  { checked }: Look,
): Promise<Answer> {
  const { tenantId } = request.principal;
  const { events, places, isList } = publications;
  const outcome = await publisher.publish({ tenantId, events, checked });
  if (outcome.kind === 'unchecked') throw new Unchecked(outcome.types);
  const texts = events.map(({ type, subject, channels, data, key }, i) => {
    const { id, createdAt } = outcome.events[i] as (typeof outcome.events)[number];
    const event_id = key?.eventId ?? null;
    return eventJson({
      id,
      tenant_id: tenantId,
      type,
      subject,
      channels,
      data,
      event_id,
      created_at: createdAt,
    });
  });
  const shown = places.map((place) => texts[place]);
  const jsonText = isList ? `{"object":"list","data":[${shown.join(',')}]}` : shown[0];
  const headers = isList ? undefined : { Location: eventPath(outcome.events[0]?.id ?? '') };
  return { kind: 'json', status: 201, jsonText, headers };
}
