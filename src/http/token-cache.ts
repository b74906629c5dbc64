import { LRUCache } from 'lru-cache';
import type { Authenticator } from './auth.ts';
import type { Principal } from './principal.ts';

export interface TokenCacheOptions {
  /** Tokens that are remembered at most. */
  max?: number;
  /** How long a key that its issuer has withdrawn may still be honoured, ms. */
  ttlMs?: number;
  /** Unix time, ms. */
  now?: () => number;
}

/**
 * Remembers tokens that were verified: checking a signature anew costs more than everything else between a request and its sandbox.
 * Only accepted ones are kept, and none beyond its own `exp`.
 */
export function rememberTokens(auth: Authenticator, options: TokenCacheOptions = {}): Authenticator {
  const { max = 1_000, ttlMs = 30_000, now = Date.now } = options;
  const accepted = new LRUCache<string, Principal>({ max, ttl: ttlMs });
  return {
    async authenticate(authorization) {
      const known = authorization === undefined ? undefined : accepted.get(authorization);
      if (known !== undefined && !isPast(known.claims.exp, now())) return known;
      const principal = await auth.authenticate(authorization);
      accepted.set(authorization!, principal);
      return principal;
    },
  };
}

/** At the very second, and without the tolerance of a full check: that one then decides. */
function isPast(expiresAt: number | undefined, nowMs: number): boolean {
  return expiresAt !== undefined && expiresAt * 1_000 <= nowMs;
}
