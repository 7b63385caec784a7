/**
 * The language in which rules and endpoints say which events they want, in the manner of Hookdeck's and Outpost's filters:
 *
 *   {"data": {"status": "failed", "counts": {"failed": {"$gte": 10}}, "metadata": {"team": {"$in": ["a", "b"]}}}}
 *
 * A filter is a tree of tests over the event's document (`DOCUMENT_FIELDS`). All entries of an object must hold: a name tests
 * the field, an operator the value itself. A value that is no object is equality; an array asks for an array that has something
 * for each of its tests. An array in the document fits where one of its elements does, and what one object says of fields and
 * values is said of one element; `$or`, `$and`, `$not`, `$neq`, `$nin` and `$exist` look at the whole anew.
 * A field that is missing fits nothing but `{"$exist": false}` and what `$not` makes of it.
 */
import { AppError, type ErrorDetail } from '../errors';
import { type JsonNode, toJsonTree } from '../json-tree';

export const FILTER_CHARS_MAX = 8_192;
export const FILTER_DEPTH_MAX = 20;
export const FILTER_TESTS_MAX = 100;
/** of what is looked for within a text: it becomes a regular expression of PostgreSQL's */
export const FILTER_PIECE_CHARS_MAX = 256;

/** What a filter can look at; all but `data` are text, `channels` is an array of it. */
export const DOCUMENT_FIELDS = ['type', 'subject', 'timestamp', 'event_id', 'channels', 'data'] as const;

export type Comparison = '<' | '<=' | '>' | '>=';

export type Test =
  | { is: 'all' | 'any'; tests: Test[] }
  | { is: 'not'; test: Test }
  | { is: 'field'; name: string; test: Test }
  /** an array that has something for each */
  | { is: 'holds'; tests: Test[] }
  | { is: 'equal'; to: JsonNode }
  | { is: 'present' }
  | { is: 'compared'; by: Comparison; to: JsonNode }
  | { is: 'begins' | 'ends' | 'contains'; with: string };

/**
 * @param text well-formed JSON
 * @param pointer of the filter within the body, for what is found
 * @throws AppError `invalid_filter` with all that is wrong
 */
export function readFilter(text: string, pointer = '/filter'): Test {
  const reader = new Reader();
  if (text.length > FILTER_CHARS_MAX) reader.refuse(pointer, `longer than ${FILTER_CHARS_MAX} characters`);
  else reader.document(toJsonTree(text), pointer);
  const [first] = reader.findings;
  if (first !== undefined) {
    throw new AppError('invalid_filter', `${first.pointer}: ${first.detail}.`, { errors: reader.findings });
  }
  return reader.read as Test;
}

type Operator = (operand: JsonNode, at: Place) => Test | undefined;

interface Place {
  pointer: string;
  depth: number;
  /** It is the event that is tested, not a value of it. */
  whole: boolean;
}

const COMPARISONS: Readonly<Record<string, Comparison>> = { $lt: '<', $lte: '<=', $gt: '>', $gte: '>=' };
/** Within what `numeric` holds, and short enough that nobody waits for it. */
const NUMBER = /^-?\d{1,100}(\.\d{1,100})?([eE][+-]?\d{1,3})?$/;
const PRESENT: Test = { is: 'present' };

class Reader {
  readonly findings: ErrorDetail[] = [];
  read: Test | undefined;
  #tests = 0;

  readonly #operators: Readonly<Record<string, Operator>> = {
    $eq: (operand, at) => this.#equal(operand, at),
    $neq: (operand, at) => presentBut(this.#equal(operand, at)),
    $in: (operand, at) => this.#oneOf(operand, at),
    $nin: (operand, at) => presentBut(this.#oneOf(operand, at)),
    $exist: (operand, at) => this.#exist(operand, at),
    $startsWith: (operand, at) => this.#piece('begins', operand, at),
    $endsWith: (operand, at) => this.#piece('ends', operand, at),
    $contains: (operand, at) => this.#piece('contains', operand, at),
    $or: (operand, at) => this.#each('any', operand, at),
    $and: (operand, at) => this.#each('all', operand, at),
    $not: (operand, at) => negated(this.#test(operand, at)),
  };

  /** The whole: at first there are fields only. */
  document(node: JsonNode, pointer: string): void {
    if (node.type !== 'object') return this.refuse(pointer, 'expected an object');
    this.read = this.#test(node, { pointer, depth: 0, whole: true });
  }

  refuse(pointer: string, detail: string): undefined {
    this.findings.push({ pointer, detail });
  }

  #test(node: JsonNode, at: Place): Test | undefined {
    if (at.depth > FILTER_DEPTH_MAX)
      return this.refuse(at.pointer, `nested deeper than ${FILTER_DEPTH_MAX} levels`);
    if (++this.#tests > FILTER_TESTS_MAX) {
      return this.#tests === FILTER_TESTS_MAX + 1
        ? this.refuse(at.pointer, `has more than ${FILTER_TESTS_MAX} tests`)
        : undefined;
    }
    if (node.type === 'object') return this.#object(node.fields, at);
    if (at.whole) return this.refuse(at.pointer, 'expected an object');
    if (node.type === 'array') return this.#each('holds', node, at);
    return this.#equal(node, at);
  }

  #object(fields: ReadonlyMap<string, JsonNode>, at: Place): Test | undefined {
    if (fields.size === 0 && at.depth > 0) return this.refuse(at.pointer, 'says nothing');
    const tests = [...fields].map(([name, node]) =>
      name.startsWith('$')
        ? this.#operator(name, node, { ...deeper(at, name), whole: at.whole })
        : this.#field(name, node, at),
    );
    return together('all', tests);
  }

  #field(name: string, node: JsonNode, at: Place): Test | undefined {
    const inside = deeper(at, name);
    if (at.whole && !(DOCUMENT_FIELDS as readonly string[]).includes(name)) {
      return this.refuse(inside.pointer, `an event has no such field, but ${DOCUMENT_FIELDS.join(', ')}`);
    }
    const test = this.#test(node, inside);
    return test && { is: 'field', name, test };
  }

  #operator(name: string, operand: JsonNode, at: Place): Test | undefined {
    if (at.whole && !['$or', '$and', '$not'].includes(name)) {
      return this.refuse(at.pointer, 'an event as a whole takes $or, $and and $not only');
    }
    const comparison = COMPARISONS[name];
    if (comparison !== undefined) return this.#compared(comparison, operand, at);
    const operator = this.#operators[name];
    return operator === undefined ? this.refuse(at.pointer, 'unknown operator') : operator(operand, at);
  }

  #each(is: 'any' | 'all' | 'holds', node: JsonNode, at: Place): Test | undefined {
    if (node.type !== 'array') return this.refuse(at.pointer, 'expected an array of tests');
    if (node.elements.length === 0) return this.refuse(at.pointer, 'says nothing');
    const tests = node.elements.map((element, i) =>
      this.#test(element, { ...deeper(at, String(i)), whole: at.whole }),
    );
    return together(is, tests);
  }

  #equal(to: JsonNode, at: Place): Test | undefined {
    return this.#known(to, at) ? { is: 'equal', to } : undefined;
  }

  /** Numbers that PostgreSQL would refuse, at whatever depth, and trees that it would take long to compare. */
  #known(node: JsonNode, at: Place): boolean {
    if (at.depth > FILTER_DEPTH_MAX || ++this.#tests > FILTER_TESTS_MAX) {
      this.refuse(at.pointer, 'too much to compare with');
      return false;
    }
    if (node.type === 'number' && !NUMBER.test(node.text)) {
      this.refuse(at.pointer, 'a number of this size cannot be compared');
      return false;
    }
    if (node.type === 'array')
      return node.elements.every((element, i) => this.#known(element, deeper(at, String(i))));
    if (node.type === 'object')
      return [...node.fields].every(([name, field]) => this.#known(field, deeper(at, name)));
    return true;
  }

  #oneOf(node: JsonNode, at: Place): Test | undefined {
    const scalars = node.type === 'array' && node.elements.every((element) => isScalar(element));
    if (!scalars || node.elements.length === 0) {
      return this.refuse(at.pointer, 'expected an array of texts, numbers, true, false or null');
    }
    return together(
      'any',
      node.elements.map((element, i) => this.#equal(element, deeper(at, String(i)))),
    );
  }

  #exist(node: JsonNode, at: Place): Test | undefined {
    if (node.type !== 'boolean') return this.refuse(at.pointer, 'expected true or false');
    return node.value ? PRESENT : negated(PRESENT);
  }

  #compared(by: Comparison, to: JsonNode, at: Place): Test | undefined {
    if (to.type !== 'number' && to.type !== 'string')
      return this.refuse(at.pointer, 'expected a number or a text');
    return this.#known(to, at) ? { is: 'compared', by, to } : undefined;
  }

  #piece(is: 'begins' | 'ends' | 'contains', node: JsonNode, at: Place): Test | undefined {
    if (node.type !== 'string' || node.value === '')
      return this.refuse(at.pointer, 'expected a text that is not empty');
    if (node.value.length > FILTER_PIECE_CHARS_MAX)
      return this.refuse(at.pointer, `longer than ${FILTER_PIECE_CHARS_MAX} characters`);
    return { is, with: node.value };
  }
}

function isScalar({ type }: JsonNode): boolean {
  return type !== 'array' && type !== 'object';
}

function deeper({ pointer, depth }: Place, step: string): Place {
  const name = step.replaceAll('~', '~0').replaceAll('/', '~1');
  return { pointer: `${pointer}/${name}`, depth: depth + 1, whole: false };
}

function together(is: 'any' | 'all' | 'holds', tests: readonly (Test | undefined)[]): Test | undefined {
  const good = tests.flatMap((test) => test ?? []);
  return good.length === tests.length ? { is, tests: good } : undefined;
}

function negated(test: Test | undefined): Test | undefined {
  return test && { is: 'not', test };
}

function presentBut(test: Test | undefined): Test | undefined {
  return test && { is: 'all', tests: [PRESENT, { is: 'not', test }] };
}
