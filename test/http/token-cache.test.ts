import { describe, expect, test } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import { type Authenticator, createAuthenticator } from '../../src/http/auth.ts';
import type { Principal } from '../../src/http/principal.ts';
import { rememberTokens } from '../../src/http/token-cache.ts';
import { signToken } from '../../src/http/tokens.ts';

function counting(
  answer: (authorization: string | undefined) => Principal,
): Authenticator & { asked: number } {
  const counted = {
    asked: 0,
    async authenticate(authorization: string | undefined) {
      counted.asked += 1;
      return answer(authorization);
    },
  };
  return counted;
}

const principalUntil = (exp: number | undefined): Principal => ({
  userId: 'alice',
  scopes: new Set(['events:invoke']),
  tier: null,
  claims: { sub: 'alice', ...(exp !== undefined && { exp }) },
});

describe('a token that was verified', () => {
  test('is not verified again', async () => {
    const inner = counting(() => principalUntil(undefined));
    const auth = rememberTokens(inner);
    for (let i = 0; i < 3; i++) expect((await auth.authenticate('Bearer a')).userId).toBe('alice');
    expect(inner.asked).toBe(1);
  });

  test('is verified again once it has expired', async () => {
    let now = 1_000_000;
    const inner = counting(() => principalUntil(1_010));
    const auth = rememberTokens(inner, { now: () => now });
    await auth.authenticate('Bearer a');
    now = 1_009_999;
    await auth.authenticate('Bearer a');
    expect(inner.asked).toBe(1);
    now = 1_010_000;
    await auth.authenticate('Bearer a');
    expect(inner.asked).toBe(2);
  });

  test('that has expired is refused, remembered or not', async () => {
    const secret = 'a secret that is long enough to be one';
    const config = {
      JWT_SECRET: secret,
      JWT_JWKS_URL: undefined,
      JWT_ISSUER: undefined,
      JWT_AUDIENCE: undefined,
    };
    const auth = rememberTokens(createAuthenticator(config));
    const issued = new Date(Date.now() - 100_000);
    const expired = `Bearer ${await signToken({ sub: 'a', scope: '', ttlSeconds: 50 }, secret, issued)}`;
    for (let i = 0; i < 2; i++) {
      await expect(auth.authenticate(expired)).rejects.toMatchObject({ code: 'invalid_token' });
    }
  });
});

describe('a token that was refused', () => {
  test('is looked at anew each time', async () => {
    const inner = counting(() => {
      throw new GatewayError('invalid_token', 'no');
    });
    const auth = rememberTokens(inner);
    for (let i = 0; i < 2; i++) await expect(auth.authenticate('Bearer x')).rejects.toThrow('no');
    await expect(auth.authenticate(undefined)).rejects.toThrow('no');
    expect(inner.asked).toBe(3);
  });

  test('does not become one that was accepted, and others are not taken for it', async () => {
    const inner = counting((authorization) => ({ ...principalUntil(undefined), userId: authorization! }));
    const auth = rememberTokens(inner, { max: 2 });
    for (const token of ['a', 'b', 'c', 'a']) expect((await auth.authenticate(token)).userId).toBe(token);
    expect(inner.asked).toBe(4);
  });
});
