import { createSecretKey } from 'node:crypto';
import type { JWTPayload, JWTVerifyGetKey } from 'jose';
import * as errors from 'jose/errors';
import { createRemoteJWKSet } from 'jose/jwks/remote';
import { jwtVerify } from 'jose/jwt/verify';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { GatewayError } from '../errors.ts';
import type { Principal } from './principal.ts';
import { parseScope } from './scopes.ts';

export interface Authenticator {
  /**
   * @param authorization the `Authorization` header
   * @throws GatewayError `unauthorized` without a token, `invalid_token` with a bad one, `auth_unavailable` when the
   *   issuer's keys are not to be had
   */
  authenticate(authorization: string | undefined): Promise<Principal>;
}

export type AuthConfig = Pick<Config, 'JWT_SECRET' | 'JWT_JWKS_URL' | 'JWT_ISSUER' | 'JWT_AUDIENCE'>;

const CLOCK_TOLERANCE_SECONDS = 5;
const MAX_TOKEN_CHARS = 8_192;
const JWKS_TIMEOUT_MS = 5_000;
const RETRY_AFTER_SECONDS = 5;

const claimsSchema = z.object({
  sub: z.string().min(1).max(255),
  scope: z.string().max(4_096).optional(),
  tier: z.string().min(1).max(64).optional(),
});

/** Accepts tokens of exactly one kind: HS256 by the secret, or RS256, ES256 and EdDSA by the key set. */
export function createAuthenticator(config: AuthConfig): Authenticator {
  const { keys, algorithms } = keysOf(config);
  const options = {
    algorithms,
    clockTolerance: CLOCK_TOLERANCE_SECONDS,
    requiredClaims: ['sub'],
    ...(config.JWT_ISSUER === undefined ? {} : { issuer: config.JWT_ISSUER }),
    ...(config.JWT_AUDIENCE === undefined ? {} : { audience: config.JWT_AUDIENCE }),
  };
  return {
    async authenticate(authorization) {
      const token = bearerToken(authorization);
      let claims: JWTPayload;
      try {
        claims = (await jwtVerify(token, keys, options)).payload;
      } catch (error) {
        if (error instanceof GatewayError) throw error;
        throw new GatewayError('invalid_token', describe(error, algorithms), { cause: error });
      }
      const parsed = claimsSchema.safeParse(claims);
      if (!parsed.success) {
        const claim = parsed.error.issues[0]?.path.join('.') ?? '';
        throw new GatewayError('invalid_token', `The token's claim ${claim} is not valid`, {
          cause: new errors.JWTClaimValidationFailed('not valid', claims, claim),
        });
      }
      const { sub, scope, tier } = parsed.data;
      return { userId: sub, scopes: parseScope(scope ?? ''), tier: tier ?? null, claims };
    },
  };
}

/** Whether a refused token was signed by the issuer this gateway trusts: such a token is a secret, expired or not. */
export function isGenuine(error: unknown): boolean {
  if (!(error instanceof GatewayError)) return false;
  if (error.code === 'auth_unavailable') return true;
  return error.cause instanceof errors.JWTExpired || error.cause instanceof errors.JWTClaimValidationFailed;
}

function keysOf(config: AuthConfig): { keys: JWTVerifyGetKey; algorithms: string[] } {
  if (config.JWT_JWKS_URL !== undefined) {
    return { keys: remoteKeys(new URL(config.JWT_JWKS_URL)), algorithms: ['RS256', 'ES256', 'EdDSA'] };
  }
  if (config.JWT_SECRET === undefined) throw new TypeError('JWT_SECRET or JWT_JWKS_URL must be set');
  const key = createSecretKey(Buffer.from(config.JWT_SECRET, 'utf8'));
  return { keys: async () => key, algorithms: ['HS256'] };
}

/** A key set that cannot be read is the gateway's trouble, and no reason to call the token bad. */
function remoteKeys(url: URL): JWTVerifyGetKey {
  const keys = createRemoteJWKSet(url, { timeoutDuration: JWKS_TIMEOUT_MS });
  return async (header, token) => {
    try {
      return await keys(header, token);
    } catch (cause) {
      const aboutToken =
        cause instanceof errors.JWKSNoMatchingKey ||
        cause instanceof errors.JWKSMultipleMatchingKeys ||
        cause instanceof errors.JOSENotSupported;
      if (aboutToken) throw cause;
      const message = 'The keys that tokens are checked with cannot be fetched now; try again later';
      throw new GatewayError('auth_unavailable', message, { retryAfterSeconds: RETRY_AFTER_SECONDS, cause });
    }
  };
}

function bearerToken(authorization: string | undefined): string {
  const [scheme, token, ...rest] = (authorization ?? '').trim().split(/ +/);
  if (scheme?.toLowerCase() !== 'bearer') {
    throw new GatewayError('unauthorized', 'A token is needed: send Authorization: Bearer <token>');
  }
  if (token === undefined || rest.length > 0 || token.length > MAX_TOKEN_CHARS) {
    throw new GatewayError('invalid_token', 'The Authorization header does not hold one bearer token');
  }
  return token;
}

function describe(error: unknown, algorithms: readonly string[]): string {
  if (error instanceof errors.JWTExpired) return 'The token has expired';
  if (error instanceof errors.JWTClaimValidationFailed) return describeClaim(error);
  if (error instanceof errors.JOSEAlgNotAllowed) {
    return `The token is signed with another algorithm than ${algorithms.join(', ')}`;
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) return "The token's signature does not verify";
  if (error instanceof errors.JWKSNoMatchingKey)
    return 'The token is signed with a key that is not in the key set';
  if (error instanceof errors.JWKSMultipleMatchingKeys) return 'The token must name its key by kid';
  return 'The token is not a signed JWT';
}

function describeClaim(error: errors.JWTClaimValidationFailed): string {
  switch (error.claim) {
    case 'nbf':
      return 'The token is not valid yet';
    case 'iss':
      return 'The token is from another issuer than JWT_ISSUER';
    case 'aud':
      return 'The token is for another audience than JWT_AUDIENCE';
    case 'sub':
      return 'The token has no sub claim';
    default:
      return `The token's claim ${error.claim} is not valid`;
  }
}
