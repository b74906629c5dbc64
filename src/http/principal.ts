import type { JWTPayload } from 'jose';

/** Who a valid token speaks for, and what it allows. */
export interface Principal {
  /** The `sub` of the token. */
  userId: string;
  scopes: ReadonlySet<string>;
  tier: string | null;
  claims: Readonly<JWTPayload>;
}
