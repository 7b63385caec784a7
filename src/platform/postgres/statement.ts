/** Every SQL statement has a name: PostgreSQL prepares it once per connection, and logs, metrics and plan tests know it. */
export interface Statement<Row> {
  readonly name: string;
  readonly text: string;
  /** false: its text is built anew each time, so preparing it would only fill the connection's memory */
  readonly prepared?: boolean;
  /** for one that may take longer than the pool allows; its transaction sets PostgreSQL's `statement_timeout` to the same */
  readonly timeoutMs?: number;
  /** only for the compiler: what a row looks like */
  readonly row?: Row;
}

/** @param name unique, `feature.verb`; a test refuses two statements of one name. */
export function statement<Row = Record<string, never>>(name: string, text: string): Statement<Row> {
  return { name, text };
}

/** A pool or a transaction: whatever runs statements. */
export interface Queryable {
  run<Row>(statement: Statement<Row>, values?: readonly unknown[]): Promise<Row[]>;
}

export interface Transaction extends Queryable {
  /** `copy … from stdin` of rows in COPY's text format. @returns how many were written */
  copyIn(statement: Statement<unknown>, rows: string): Promise<number>;
}

export interface Database extends Queryable {
  /** Commits when `work` resolves, rolls back when it rejects. */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
}
