/** One event stream as a client without any comfort has it. */
export interface OpenStream {
  status: number;
  headers: Headers;
  /** all that came so far */
  readonly text: string;
  readonly hasEnded: boolean;
  /** As a client that goes away. */
  close(): void;
}

export interface StreamWish {
  key?: string;
  ticket?: string;
  headers?: Record<string, string>;
}

/** Resolves with the head of the answer. */
export async function openStream(
  api: { url: string },
  path: string,
  { key, ticket, headers = {} }: StreamWish,
): Promise<OpenStream> {
  const closing = new AbortController();
  const search = ticket === undefined ? '' : `${path.includes('?') ? '&' : '?'}ticket=${ticket}`;
  const response = await fetch(`${api.url}${path}${search}`, {
    signal: closing.signal,
    headers: { ...headers, ...(key === undefined ? {} : { Authorization: `Bearer ${key}` }) },
  });
  let text = '';
  let hasEnded = false;
  const read = async (): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? [])
      text += decoder.decode(bytes as Uint8Array, { stream: true });
  };
  // Closed from here it fails, which is an end like any other.
  void read()
    .catch(() => undefined)
    .finally(() => {
      hasEnded = true;
    });
  return {
    status: response.status,
    headers: response.headers,
    get text() {
      return text;
    },
    get hasEnded() {
      return hasEnded;
    },
    close: () => closing.abort(),
  };
}
