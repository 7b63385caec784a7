/** A JSON value as a tree whose numbers keep the digits that a double would lose. */
import { eachElement, eachField, stringValue } from './json-fields';

export type JsonNode =
  | { type: 'null' }
  | { type: 'boolean'; value: boolean }
  /** as it was written */
  | { type: 'number'; text: string }
  | { type: 'string'; value: string }
  | { type: 'array'; elements: JsonNode[] }
  | { type: 'object'; fields: Map<string, JsonNode> };

/** @param text well-formed; of a name that occurs twice the last one counts, as it does for `JSON.parse` */
export function toJsonTree(text: string): JsonNode {
  const json = text.trim();
  switch (json.charAt(0)) {
    case '{': {
      const fields = new Map<string, JsonNode>();
      eachField(json, (name, value) => fields.set(name, toJsonTree(value)));
      return { type: 'object', fields };
    }
    case '[': {
      const elements: JsonNode[] = [];
      eachElement(json, (value) => elements.push(toJsonTree(value)));
      return { type: 'array', elements };
    }
    case '"':
      return { type: 'string', value: stringValue(json) };
    case 'n':
      return { type: 'null' };
    case 't':
    case 'f':
      return { type: 'boolean', value: json === 'true' };
    default:
      return { type: 'number', text: json };
  }
}
