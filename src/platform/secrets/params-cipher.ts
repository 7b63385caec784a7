/**
 * Secret params of jobs, text by text. They are bound to the tenant, not to the job: a job that does another's failed items
 * again takes its params over as they are kept.
 */
import type { SecretBox } from './secret-box';

export interface ParamsCipher {
  sealFor(tenantId: string): (text: string) => string;
  /** @returns what throws SecretBoxError */
  openFor(tenantId: string): (sealed: string) => string;
}

export function createParamsCipher(box: SecretBox): ParamsCipher {
  const contextOf = (tenantId: string): string => `params:${tenantId}`;
  return {
    sealFor: (tenantId) => (text) =>
      Buffer.from(box.seal(Buffer.from(text), contextOf(tenantId))).toString('base64'),
    openFor: (tenantId) => (sealed) =>
      Buffer.from(box.open(Buffer.from(sealed, 'base64'), contextOf(tenantId))).toString(),
  };
}
