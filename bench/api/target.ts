/** What is asked for, again and again. */
export interface Question {
  readonly path: string;
  /** The body that must come, byte for byte. */
  readonly body: string;
}

/** Who is asked. */
export interface Target {
  readonly url: string;
  readonly key: string;
  readonly questions: readonly Question[];
}

/** What a peer's server is given. */
export interface ServerRequest {
  readonly questions: readonly Question[];
  readonly key: string;
  readonly databaseUrl: string;
  readonly redisUrl: string;
}

export interface ServerAnswer {
  readonly url: string;
}

/** By path, as values: a server makes JSON of them for each answer. */
export function bodiesOf(questions: readonly Question[]): Map<string, unknown> {
  return new Map(questions.map(({ path, body }) => [path, JSON.parse(body) as unknown]));
}
