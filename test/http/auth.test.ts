import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type JWK, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAuthenticator, isGenuine } from '../../src/http/auth.ts';
import { signToken } from '../../src/http/tokens.ts';

const SECRET = 'a secret of more than thirty-two bytes';
const alice = { sub: 'alice', scope: 'events:read events:write', ttlSeconds: 60 };
const hs256 = createAuthenticator({ JWT_SECRET: SECRET });
const withToken = (token: string) => hs256.authenticate(`Bearer ${token}`);
const refusal = (message: RegExp) => ({ code: 'invalid_token', message: expect.stringMatching(message) });

const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
function forge(header: object, claims: object, key: string | Buffer, hash = 'sha256'): string {
  const signed = `${base64url(header)}.${base64url(claims)}`;
  return `${signed}.${createHmac(hash, key).update(signed).digest('base64url')}`;
}

describe('a token signed with the secret', () => {
  test('tells who calls, with what scopes and tier', async () => {
    const principal = await withToken(await signToken({ ...alice, tier: 'pro' }, SECRET));
    expect(principal).toMatchObject({ userId: 'alice', tier: 'pro', claims: { sub: 'alice' } });
    expect([...principal.scopes]).toEqual(['events:read', 'events:write']);
  });

  test('may be sent with a scheme in any case', async () => {
    const token = await signToken(alice, SECRET);
    expect((await hs256.authenticate(`bearer ${token}`)).userId).toBe('alice');
  });

  test('without scope and tier allows nothing', async () => {
    const token = forge({ alg: 'HS256' }, { sub: 'alice' }, SECRET);
    expect(await withToken(token)).toMatchObject({ scopes: new Set(), tier: null });
  });

  test.each([undefined, '', 'Basic YTpi'])('is asked for when the header is %j', async (header) => {
    await expect(hs256.authenticate(header)).rejects.toMatchObject({ code: 'unauthorized' });
  });

  const later = Math.floor(Date.now() / 1_000) + 3_600;
  test.each<[string, string, RegExp]>([
    ['garbage', 'garbage', /not a signed JWT/],
    ['three dots', '...', /not a signed JWT/],
    ['no signature', `${base64url({ alg: 'none' })}.${base64url({ sub: 'alice' })}.`, /algorithm/],
    ['another HMAC', forge({ alg: 'HS512' }, { sub: 'alice' }, SECRET, 'sha512'), /algorithm than HS256/],
    ['another secret', forge({ alg: 'HS256' }, { sub: 'alice' }, 'x'.repeat(32)), /signature/],
    ['no subject', forge({ alg: 'HS256' }, { scope: 'x' }, SECRET), /no sub/],
    ['an empty subject', forge({ alg: 'HS256' }, { sub: '' }, SECRET), /claim sub/],
    ['a subject that is no text', forge({ alg: 'HS256' }, { sub: 7 }, SECRET), /claim sub/],
    ['a huge subject', forge({ alg: 'HS256' }, { sub: 'x'.repeat(300) }, SECRET), /claim sub/],
    ['a huge scope', forge({ alg: 'HS256' }, { sub: 'a', scope: 'x'.repeat(5_000) }, SECRET), /claim scope/],
    ['scopes in an array', forge({ alg: 'HS256' }, { sub: 'a', scope: ['x'] }, SECRET), /claim scope/],
    ['an expiry that is past', forge({ alg: 'HS256' }, { sub: 'a', exp: 1 }, SECRET), /expired/],
    ['a beginning to come', forge({ alg: 'HS256' }, { sub: 'a', nbf: later }, SECRET), /not valid yet/],
    [
      'an unknown critical header',
      forge({ alg: 'HS256', crit: ['x'], x: 1 }, { sub: 'a' }, SECRET),
      /not a signed/,
    ],
    ['a huge length', `a.${'b'.repeat(9_000)}.c`, /one bearer token/],
  ])('is refused with %s', async (_what, token, message) => {
    await expect(withToken(token)).rejects.toMatchObject(refusal(message));
  });

  test('is refused when two are sent', async () => {
    await expect(hs256.authenticate('Bearer a b')).rejects.toMatchObject(refusal(/one bearer token/));
  });

  test('may be a few seconds late, for clocks differ', async () => {
    const now = Math.floor(Date.now() / 1_000);
    await withToken(forge({ alg: 'HS256' }, { sub: 'a', exp: now - 2 }, SECRET));
    await expect(withToken(forge({ alg: 'HS256' }, { sub: 'a', exp: now - 10 }, SECRET))).rejects.toThrow();
  });

  test('must be of the issuer and for the audience that are configured', async () => {
    const strict = createAuthenticator({ JWT_SECRET: SECRET, JWT_ISSUER: 'us', JWT_AUDIENCE: 'gateway' });
    const send = async (claims: { issuer?: string; audience?: string }) =>
      strict.authenticate(`Bearer ${await signToken({ ...alice, ...claims }, SECRET)}`);
    expect((await send({ issuer: 'us', audience: 'gateway' })).userId).toBe('alice');
    await expect(send({ issuer: 'them', audience: 'gateway' })).rejects.toMatchObject(refusal(/issuer/));
    await expect(send({ issuer: 'us', audience: 'other' })).rejects.toMatchObject(refusal(/audience/));
    await expect(send({ issuer: 'us' })).rejects.toMatchObject(refusal(/audience/));
    await expect(send({ audience: 'gateway' })).rejects.toMatchObject(refusal(/issuer/));
  });

  test('counts as genuine when only its time is over, and not when it is another’s', async () => {
    const expired = await withToken(forge({ alg: 'HS256' }, { sub: 'a', exp: 1 }, SECRET)).catch((e) => e);
    const foreign = await withToken(forge({ alg: 'HS256' }, { sub: 'a' }, 'y'.repeat(32))).catch((e) => e);
    expect([isGenuine(expired), isGenuine(foreign)]).toEqual([true, false]);
  });
});

describe('a token checked with a key set', () => {
  const pairs = {
    RS256: generateKeyPairSync('rsa', { modulusLength: 2_048 }),
    ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    EdDSA: generateKeyPairSync('ed25519'),
  };
  let server: Server;
  let url: string;
  let answer: () => { status: number; body: string };

  const jwk = (kid: string, key: KeyObject) => ({ ...key.export({ format: 'jwk' }), kid }) as JWK;
  const keySet = { keys: Object.entries(pairs).map(([kid, pair]) => jwk(kid, pair.publicKey)) };
  const healthy = () => ({ status: 200, body: JSON.stringify(keySet) });
  const sign = (alg: string, key: KeyObject, kid = alg) =>
    new SignJWT({ sub: 'alice', scope: 'events:read' }).setProtectedHeader({ alg, kid }).sign(key);
  const check = (token: string) => createAuthenticator({ JWT_JWKS_URL: url }).authenticate(`Bearer ${token}`);

  beforeAll(async () => {
    answer = healthy;
    server = createServer((_request, response) => {
      const { status, body } = answer();
      response.writeHead(status, { 'content-type': 'application/json' }).end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  test.each(['RS256', 'ES256', 'EdDSA'] as const)('is accepted when it is %s', async (alg) => {
    expect((await check(await sign(alg, pairs[alg].privateKey))).userId).toBe('alice');
  });

  test('is refused with an algorithm that is not on the list, though the key would do', async () => {
    await expect(check(await sign('RS512', pairs.RS256.privateKey, 'RS256'))).rejects.toMatchObject(
      refusal(/algorithm/),
    );
    await expect(check(await sign('PS256', pairs.RS256.privateKey, 'RS256'))).rejects.toMatchObject(
      refusal(/algorithm/),
    );
  });

  test('is refused when a public key was used as an HMAC secret', async () => {
    const pem = pairs.RS256.publicKey.export({ type: 'spki', format: 'pem' });
    const token = forge({ alg: 'HS256', kid: 'RS256' }, { sub: 'alice', scope: 'bench' }, pem);
    await expect(check(token)).rejects.toMatchObject(refusal(/algorithm/));
  });

  test('is refused when its key is unknown or its signature another’s', async () => {
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    await expect(check(await sign('ES256', other, 'nobody'))).rejects.toMatchObject(refusal(/key set/));
    await expect(check(await sign('ES256', other))).rejects.toMatchObject(refusal(/signature/));
  });

  test('carrying its own key in the header is not believed', async () => {
    const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const header = { alg: 'ES256', kid: 'ES256', jwk: jwk('ES256', own.publicKey) };
    const token = await new SignJWT({ sub: 'alice' }).setProtectedHeader(header).sign(own.privateKey);
    await expect(check(token)).rejects.toMatchObject(refusal(/signature/));
  });

  test.each([
    ['is down', { status: 500, body: '' }],
    ['answers no JSON', { status: 200, body: '<html>' }],
    ['answers no key set', { status: 200, body: '{}' }],
  ])('is not called bad when the key set %s', async (_what, broken) => {
    const token = await sign('ES256', pairs.ES256.privateKey);
    answer = () => broken;
    const checked = check(token);
    await expect(checked).rejects.toMatchObject({ code: 'auth_unavailable', retryAfterSeconds: 5 });
    answer = healthy;
  });

  test('is not called bad when nobody listens', async () => {
    const token = await sign('ES256', pairs.ES256.privateKey);
    const lonely = createAuthenticator({ JWT_JWKS_URL: 'http://127.0.0.1:9/jwks' });
    await expect(lonely.authenticate(`Bearer ${token}`)).rejects.toMatchObject({ code: 'auth_unavailable' });
  });
});
