/** Makes an API key: the one way a key comes to be, for the route and for the command line. */
import type { KeyBounds } from '../../domain/key/key-bounds';
import type { Scope } from '../../domain/key/scopes';
import type { ApiKey, KeyStore, NewSecret } from './ports';

export interface KeyMint {
  mint(): NewSecret & { secret: string };
}

export interface KeyWish {
  tenantId: string;
  name: string;
  scopes: readonly Scope[];
  bounds: KeyBounds;
}

export interface IssueKeyDeps {
  keys: Pick<KeyStore, 'insert'>;
  mint: KeyMint;
  newKeyId(): string;
}

/** The secret is in the answer and nowhere else. */
export async function issueKey(deps: IssueKeyDeps, wish: KeyWish): Promise<{ key: ApiKey; secret: string }> {
  const { secret, prefix, hash } = deps.mint.mint();
  const key = await deps.keys.insert({ ...wish, id: deps.newKeyId(), prefix, hash });
  return { key, secret };
}
