import { createSecretKey } from 'node:crypto';
import { SignJWT } from 'jose/jwt/sign';

export interface TokenClaims {
  sub: string;
  /** Scopes, separated by spaces. */
  scope: string;
  ttlSeconds: number;
  tier?: string | undefined;
  issuer?: string | undefined;
  audience?: string | undefined;
}

/** An HS256 token that the gateway with this secret accepts. */
export function signToken(claims: TokenClaims, secret: string, now: Date = new Date()): Promise<string> {
  const issuedAt = Math.floor(now.getTime() / 1_000);
  const { sub, scope, ttlSeconds, tier, issuer, audience } = claims;
  const jwt = new SignJWT({ scope, ...(tier === undefined ? {} : { tier }) })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(sub)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + ttlSeconds);
  if (issuer !== undefined) jwt.setIssuer(issuer);
  if (audience !== undefined) jwt.setAudience(audience);
  return jwt.sign(createSecretKey(Buffer.from(secret, 'utf8')));
}
