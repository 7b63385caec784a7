/** What a handler returns. The application writes it; only a stream that outlives its handler takes the socket itself. */
export type AnswerHeaders = Readonly<Record<string, string>>;

export interface JsonAnswer {
  kind: 'json';
  status: number;
  /** undefined: no body */
  body?: unknown;
  /** the body as finished JSON text, in place of `body` */
  jsonText?: string | undefined;
  headers?: AnswerHeaders | undefined;
}

export interface StreamAnswer {
  kind: 'stream';
  status: number;
  contentType: string;
  /**
   * Pulled at the client's pace. A failure before the first chunk becomes a problem; a later one breaks the connection off,
   * so that a client sees a broken download and never a short one. Returned (`return()`) when the client leaves.
   */
  chunks: AsyncIterable<string | Uint8Array>;
  /** by gzip, for clients that ask for it */
  compress?: boolean | undefined;
  headers?: AnswerHeaders | undefined;
}

/** A page for people, or any other text. */
export interface TextAnswer {
  kind: 'text';
  status: number;
  contentType: string;
  text: string;
  headers?: AnswerHeaders | undefined;
}

/** The handler writes on `ctx.res` itself (SSE, WebSocket); the application keeps its hands off. */
export interface TakenAnswer {
  kind: 'taken';
}

export type Answer = JsonAnswer | TextAnswer | StreamAnswer | TakenAnswer;

export function ok(body: unknown, headers?: AnswerHeaders): JsonAnswer {
  return { kind: 'json', status: 200, body, headers };
}

/** 201 with Location. */
export function created(location: string, body: unknown): JsonAnswer {
  return { kind: 'json', status: 201, body, headers: { Location: location } };
}

/** 202: what was asked for goes on in the background. */
export function accepted(body: unknown, location?: string): JsonAnswer {
  return {
    kind: 'json',
    status: 202,
    body,
    headers: location === undefined ? undefined : { Location: location },
  };
}

export function noContent(): JsonAnswer {
  return { kind: 'json', status: 204 };
}

export function text(contentType: string, body: string, headers?: AnswerHeaders): TextAnswer {
  return { kind: 'text', status: 200, contentType, text: body, headers };
}

export function stream(
  contentType: string,
  chunks: AsyncIterable<string | Uint8Array>,
  headers?: AnswerHeaders,
): StreamAnswer {
  return { kind: 'stream', status: 200, contentType, chunks, headers };
}

export function taken(): TakenAnswer {
  return { kind: 'taken' };
}
