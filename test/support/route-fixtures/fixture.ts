/** What a request to a documented route is made of: every route has a fixture, by its operationId. */
import type { IdKind } from '../../../src/domain/ids';
import type { Scope } from '../../../src/domain/key/scopes';
import type { Owner } from './world';

export interface RequestParts {
  path?: Record<string, string>;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  /** sent as JSON, or as it is where `contentType` says what it is */
  body?: unknown;
  contentType?: string;
}

/** `path.id`, `query.tenant_id`, `body.tenant_id` */
export type Place = `${'path' | 'query' | 'body'}.${string}`;

export interface KeyedFixture {
  asks: 'apiKey';
  /** A request that succeeds once, for a key of this tenant: what it names was just made through the API. */
  request(owner: Owner): Promise<RequestParts> | RequestParts;
  /** Ids that a request can carry, of what belongs to a tenant; those it need not carry are not in `request`. */
  ids?: Readonly<Record<Place, IdKind>>;
  /** What looks like such an id and is none, with why. */
  noIds?: Readonly<Record<Place, string>>;
  /** What this request takes of a key beyond the scopes of the route. */
  takes?: readonly Scope[];
}

export interface LentRequest extends RequestParts {
  token: string;
}

export interface ChunkFixture {
  asks: 'chunkToken';
  /** Likewise, for whoever was lent a chunk of a running job of this tenant. */
  request(owner: Owner): Promise<LentRequest>;
}

export interface PublicFixture {
  asks: 'nothing';
  /** why anybody may ask */
  because: string;
}

export type RouteFixture = KeyedFixture | ChunkFixture | PublicFixture;
export type RouteFixtures = Readonly<Record<string, RouteFixture>>;
