/**
 * Filters as jsonpath predicates of PostgreSQL, so that one statement tests many events against many filters.
 * jsonpath knows three truths; what is written here knows two: conditions that can be unknown, such as a comparison of a text
 * with a number, stand only inside of `exists(… ? (…))`, which takes unknown for false before anything is negated.
 * https://www.postgresql.org/docs/current/functions-json.html#FUNCTIONS-SQLJSON-PATH
 */
import type { JsonNode } from '../json-tree';
import { readFilter, type Test } from './filter';

/**
 * @param text well-formed JSON
 * @returns a jsonpath predicate for `document @@ predicate`; null: the filter passes everything
 * @throws AppError `invalid_filter`
 */
export function compileFilter(text: string): string | null {
  const test = readFilter(text);
  return test.is === 'all' && test.tests.length === 0 ? null : predicate(test, '$');
}

/** @param path of the value that is tested */
function predicate(test: Test, path: string): string {
  switch (test.is) {
    case 'all':
      return every(test.tests, path);
    case 'any':
      return joined(test.tests, '||', (one) => predicate(one, path));
    case 'not':
      return `!(${predicate(test.test, path)})`;
    case 'holds': {
      const each = joined(test.tests, '&&', (one) => predicate(one, path));
      return `(${path}.type() == "array" && ${each})`;
    }
    case 'present':
      return `exists(${path})`;
    case 'equal':
      return test.to.type === 'array' ? same(test.to, path) : withinElement([test], path);
    default:
      return withinElement([test], path);
  }
}

/** Fields and values are said of one and the same element; the rest looks at the whole anew. */
function every(tests: readonly Test[], path: string): string {
  const parts = tests.filter((test) => !ofElement(test)).map((test) => predicate(test, path));
  const element = tests.filter(ofElement);
  if (element.length > 0) parts.unshift(withinElement(element, path));
  return `(${parts.join(' && ')})`;
}

function ofElement(test: Test): boolean {
  switch (test.is) {
    case 'field':
    case 'compared':
    case 'begins':
    case 'ends':
    case 'contains':
      return true;
    case 'equal':
      return test.to.type !== 'array';
    default:
      return false;
  }
}

/** A filter expression looks at the elements of an array one by one (lax mode), and at anything else as it is. */
function withinElement(tests: readonly Test[], path: string): string {
  return `exists(${path} ? (${tests.map(condition).join(' && ')}))`;
}

function condition(test: Test): string {
  switch (test.is) {
    case 'field':
      return predicate(test.test, `@.${quoted(test.name)}`);
    case 'equal':
      return test.to.type === 'object' ? same(test.to, '@') : `@ == ${literal(test.to)}`;
    case 'compared':
      return `@ ${test.by} ${literal(test.to)}`;
    case 'begins':
      return `@ starts with ${quoted(test.with)}`;
    case 'ends':
      return `@ like_regex ${quoted(`${escaped(test.with)}$`)}`;
    case 'contains':
      return `@ like_regex ${quoted(test.with)} flag "q"`;
    default:
      return predicate(test, '@');
  }
}

/** Exactly this value, no element of an array in place of it. */
function same(node: JsonNode, path: string): string {
  const isType = `${path}.type() == "${node.type}"`;
  switch (node.type) {
    case 'array': {
      const elements = node.elements.map((element, i) => same(element, `${path}[${i}]`));
      return `(${[isType, `${path}.size() == ${elements.length}`, ...elements].join(' && ')})`;
    }
    case 'object': {
      const fields = [...node.fields].map(([name, field]) => same(field, `${path}.${quoted(name)}`));
      const names = [...node.fields.keys()].map((name) => `@.key != ${quoted(name)}`);
      const others = `${path}.keyvalue()${names.length === 0 ? '' : ` ? (${names.join(' && ')})`}`;
      return `(${[isType, ...fields, `!exists(${others})`].join(' && ')})`;
    }
    default:
      return `(${isType} && ${path} == ${literal(node)})`;
  }
}

function joined(tests: readonly Test[], by: '||' | '&&', one: (test: Test) => string): string {
  return `(${tests.map(one).join(` ${by} `)})`;
}

function literal(node: JsonNode): string {
  switch (node.type) {
    case 'string':
      return quoted(node.value);
    case 'number':
      return node.text;
    case 'boolean':
      return String(node.value);
    default:
      return 'null';
  }
}

/** jsonpath reads strings with the escapes of JSON. */
function quoted(text: string): string {
  return JSON.stringify(text);
}

/** For an advanced regular expression; a backslash before a character that is no letter or digit takes it as it is. */
function escaped(text: string): string {
  return text.replace(/[\\^$.|?*+()[\]{}]/g, '\\$&');
}
