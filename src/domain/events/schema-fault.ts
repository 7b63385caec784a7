/** What is wrong with a value that was held against a JSON Schema. */
export interface SchemaFault {
  /** RFC 6901, into the value */
  pointer: string;
  detail: string;
}

/** UTF-16 code units of a schema. */
export const SCHEMA_LENGTH_MAX = 65_536;
