/**
 * Which of a tenant's types are strict, as this process last heard, so that a publication needs no question beforehand: the
 * statement that publishes says where something else is true by now.
 */
import { LRUCache } from 'lru-cache';
import { AppError, type ErrorDetail } from '../../domain/errors';
import type { NewPublication, SchemaChecker, StrictType } from './ports';

export interface StrictTypes {
  /** Holds the events against the schemas that are known here. */
  look(tenantId: string, events: readonly NewPublication[]): Promise<Look>;
  /**
   * What the statement said is strict.
   * @throws AppError `invalid_event` where the look has already found that an event does not fit
   */
  learn(tenantId: string, types: readonly StrictType[], look: Look): void;
}

export interface Look {
  /** types that all events of theirs fit */
  checked: StrictType[];
  /** version to what is wrong */
  faults: Map<string, ErrorDetail[]>;
}

/** How a place in an event is named in the body. */
export type EventPointer = (index: number) => string;

const KNOWN_MAX = 2_000;
const KNOWN_CHARACTERS_MAX = 16 * 1024 * 1024;

export function createStrictTypes(schemas: SchemaChecker): (pointerTo: EventPointer) => StrictTypes {
  const known = new LRUCache<string, StrictType>({
    max: KNOWN_MAX,
    maxSize: KNOWN_CHARACTERS_MAX,
    sizeCalculation: ({ schema }) => schema.length,
  });
  const keyOf = (tenantId: string, name: string): string => `${tenantId}/${name}`;
  return (pointerTo) => ({
    async look(tenantId, events) {
      const look: Look = { checked: [], faults: new Map() };
      // A process that knows of none has nothing to look for.
      const names = known.size === 0 ? [] : new Set(events.map(({ type }) => type));
      for (const name of names) {
        const type = known.get(keyOf(tenantId, name));
        if (type === undefined) continue;
        const faults = await faultsIn(schemas, { tenantId, type, events, pointerTo });
        if (faults.length === 0) look.checked.push(type);
        else look.faults.set(type.version, faults);
      }
      return look;
    },
    learn(tenantId, types, { faults }) {
      const wrong = types.flatMap(({ version }) => faults.get(version) ?? []);
      if (wrong.length > 0) throw invalidEvent(wrong);
      for (const type of types) known.set(keyOf(tenantId, type.name), type);
    },
  });
}

interface Inspection {
  tenantId: string;
  type: StrictType;
  events: readonly NewPublication[];
  pointerTo: EventPointer;
}

async function faultsIn(
  schemas: SchemaChecker,
  { tenantId, type, events, pointerTo }: Inspection,
): Promise<ErrorDetail[]> {
  const places = events.flatMap((event, index) => (event.type === type.name ? [index] : []));
  const values = places.map((index) => (events[index] as NewPublication).data);
  const found = await schemas.faultsOf({ tenantId, schema: type.schema, values });
  return found.flatMap((faults, i) =>
    faults.map(({ pointer, detail }) => ({
      pointer: `${pointerTo(places[i] as number)}/data${pointer}`,
      detail,
    })),
  );
}

const FAULTS_SHOWN = 100;

function invalidEvent(errors: readonly ErrorDetail[]): AppError {
  const [first] = errors;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  const detail = `${first?.pointer}: ${first?.detail}${more}`;
  return new AppError('invalid_event', detail, { errors: errors.slice(0, FAULTS_SHOWN) });
}
