/** Words between those who call foreign servers (item handlers, webhooks) and the guarded client that does it. */

export interface OutboundRequest {
  method: string;
  /** absolute, http or https, without credentials */
  url: string;
  /** valid names and values; those that the client sets itself (host, content-length, …) are not taken */
  headers: Readonly<Record<string, string>>;
  body?: string | Uint8Array | undefined;
  /** the one deadline, over DNS, connection, headers and body; not given: `signal` is */
  timeoutMs?: number | undefined;
  signal?: AbortSignal | undefined;
  /** of the body, decompressed; default `RESPONSE_BYTES_MAX` */
  responseBytesMax?: number | undefined;
  /** A longer body is a failure (default), or it is cut and the rest not read. */
  overflow?: 'fail' | 'cut' | undefined;
}

/** Whatever the status: redirects are answers too, and never followed. */
export interface OutboundResponse {
  ok: true;
  status: number;
  /** names in lower case; values of a repeated one joined by `, ` */
  headers: Readonly<Record<string, string>>;
  /** decompressed */
  body: Uint8Array;
  /** the body was longer than allowed and is cut */
  cut: boolean;
}

export type OutboundFailureCode =
  | 'invalid_request'
  | 'egress_denied'
  | 'dns_failed'
  | 'connect_failed'
  | 'tls_failed'
  | 'connection_lost'
  | 'invalid_response'
  | 'response_too_large'
  | 'timeout'
  | 'aborted';

export interface OutboundFailure {
  ok: false;
  code: OutboundFailureCode;
  /** for whoever asked for the call: never tells an address that a name has */
  message: string;
}

export type OutboundResult = OutboundResponse | OutboundFailure;

/** Bytes of a body where nothing else is said. */
export const RESPONSE_BYTES_MAX = 1_048_576;
