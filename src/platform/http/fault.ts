/** From what sockets, TLS and the HTTP parser throw to a small set of codes. */
import type { OutboundFailure, OutboundFailureCode } from '../../domain/outbound/exchange';

export function failed(code: OutboundFailureCode, message: string): OutboundFailure {
  return { ok: false, code, message };
}

/** An error that carries its failure through the HTTP client. */
export interface Fault extends Error {
  outbound: OutboundFailure;
}

export function toFault(failure: OutboundFailure): Fault {
  return Object.assign(new Error(failure.message), { outbound: failure });
}

/** The failure that `error` is, or undefined where it is none of the network's: a mistake of ours. */
export function toFailure(error: unknown): OutboundFailure | undefined {
  const { outbound, name } = fieldsOf(error);
  if (outbound !== undefined) return outbound as OutboundFailure;
  const code = codeOf(error);
  if (code === 'UND_ERR_INVALID_ARG' || code === 'UND_ERR_NOT_SUPPORTED') {
    return failed('invalid_request', 'The request cannot be sent as it is.');
  }
  if (name === 'HTTPParserError' || code === 'UND_ERR_HEADERS_OVERFLOW') {
    return failed('invalid_response', 'The server answered what is not HTTP.');
  }
  if (LOST.test(code)) {
    return failed('connection_lost', 'The connection broke off before the answer was complete.');
  }
  return undefined;
}

const LOST = /^(UND_ERR_|E[A-Z]+$)/;

/** Of whatever was thrown, its `code`, or ''. */
export function codeOf(error: unknown): string {
  const { code } = fieldsOf(error);
  return typeof code === 'string' ? code : '';
}

function fieldsOf(error: unknown): Record<string, unknown> {
  return typeof error === 'object' && error !== null ? (error as Record<string, unknown>) : {};
}

/** What a socket that could not connect says. */
export function connectFailure(error: unknown): OutboundFailure {
  return failed('connect_failed', `The server cannot be reached (${codeOf(error) || 'no reason given'}).`);
}

/** What failed between connection and first byte: the network, or what the two say of TLS and certificates. */
export function handshakeFailure(error: unknown): OutboundFailure {
  const code = codeOf(error);
  if (/^E(CONN|PIPE|TIMEDOUT|HOST|NET)/.test(code)) return connectFailure(error);
  const { reason } = fieldsOf(error);
  const why = typeof reason === 'string' && reason.length < 100 ? reason : code;
  return failed('tls_failed', `The server cannot prove who it is, or speaks no TLS (${why}).`);
}
