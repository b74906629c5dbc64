import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseConfig } from '../../src/config.ts';
import { answer, Harness } from './harness.ts';

const ALLOWED = 'https://app.example.com';
const PREFLIGHT = {
  origin: ALLOWED,
  'access-control-request-method': 'PUT',
  'access-control-request-headers': 'authorization,content-type',
};
const OWN = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'content-security-policy': expect.stringContaining("default-src 'none'"),
};

let harness: Harness;
afterEach(() => harness[Symbol.asyncDispose]());

const headersOf = (response: Response) => Object.fromEntries(response.headers);
const cross = (response: Response) =>
  Object.fromEntries([...response.headers].filter(([name]) => name.startsWith('access-control-')));

describe('the gateway’s own answers', () => {
  beforeEach(async () => {
    harness = await Harness.open();
    await harness.deploy({ auth: 'public' });
  });

  test.each(['/healthz', '/v1/events', '/openapi.json', '/docs', '/nothing', '/e/nothing', '/e/hello@9'])(
    '%s may not be sniffed, framed or followed',
    async (path) => {
      const response = await harness.app.request(path, { headers: await harness.bearer('alice') });
      expect(headersOf(response)).toMatchObject(OWN);
    },
  );

  test('events, which have code and settings in them, are kept by no cache', async () => {
    const response = await harness.send('GET', '/v1/events/hello');
    expect(response.headers.get('cache-control')).toBe('no-store');
  });

  test('what a function answers is its own', async () => {
    const headers = { 'content-type': 'text/html', 'content-security-policy': "default-src 'self'" };
    harness.answer = () => answer({ headers });
    const response = await harness.app.request('/e/hello');
    expect(headersOf(response)).toMatchObject(headers);
    for (const name of ['x-content-type-options', 'referrer-policy', 'cache-control'])
      expect(response.headers.has(name)).toBe(false);
  });
});

describe('a page of another origin', () => {
  async function open(origins: string[] | undefined): Promise<void> {
    harness = await Harness.open({ config: parseConfig({ CORS_ORIGINS: origins?.join(', ') }) });
    await harness.deploy();
  }

  test('may do nothing unless it is configured', async () => {
    await open(undefined);
    const headers = { ...(await harness.bearer('alice')), origin: ALLOWED };
    for (const path of ['/e/hello', '/v1/events'])
      expect(cross(await harness.app.request(path, { headers }))).toEqual({});
    const preflight = await harness.app.request('/e/hello', { method: 'OPTIONS', headers: PREFLIGHT });
    expect([preflight.status, cross(preflight)]).toEqual([401, {}]);
  });

  test('that is allowed may call functions with a token, whether they are there or not', async () => {
    await open([ALLOWED]);
    for (const path of ['/e/hello', '/e/hello/below', '/e/nothing']) {
      const preflight = await harness.app.request(path, { method: 'OPTIONS', headers: PREFLIGHT });
      expect([preflight.status, cross(preflight)]).toEqual([
        204,
        expect.objectContaining({
          'access-control-allow-origin': ALLOWED,
          'access-control-allow-methods': expect.stringContaining('PUT'),
          'access-control-allow-headers': 'authorization,content-type',
        }),
      ]);
      expect(preflight.headers.has('access-control-allow-credentials')).toBe(false);
    }
    expect(harness.calls).toEqual([]);
    const headers = { ...(await harness.bearer('alice')), origin: ALLOWED };
    const called = await harness.app.request('/e/hello', { headers });
    expect([called.status, called.headers.get('access-control-allow-origin')]).toEqual([200, ALLOWED]);
    expect(called.headers.get('access-control-expose-headers')).toContain('X-Cronium-Invocation-Id');
    const refused = await harness.app.request('/e/hello', { headers: { origin: ALLOWED } });
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, ALLOWED]);
  });

  test('that is not in the list gets nothing, and caches are told that it might have', async () => {
    await open([ALLOWED]);
    for (const origin of [
      'https://evil.example',
      'null',
      `${ALLOWED}.evil.example`,
      'http://app.example.com',
    ]) {
      const headers = { ...(await harness.bearer('alice')), origin };
      const called = await harness.app.request('/e/hello', { headers });
      expect([called.status, cross(called)]).toEqual([200, {}]);
      expect(called.headers.get('vary')).toContain('Origin');
    }
  });

  test('never gets at the API, whose tokens can do more', async () => {
    await open(['*']);
    const headers = { ...(await harness.bearer('alice')), origin: ALLOWED };
    expect(cross(await harness.app.request('/v1/events', { headers }))).toEqual({});
    expect(
      (await harness.app.request('/e/hello', { headers })).headers.get('access-control-allow-origin'),
    ).toBe('*');
  });

  test('leaves to the function what is no preflight', async () => {
    await open([ALLOWED]);
    const headers = { ...(await harness.bearer('alice')), origin: ALLOWED };
    const options = await harness.app.request('/e/hello', { method: 'OPTIONS', headers });
    expect([options.status, harness.calls.length]).toEqual([200, 1]);
  });
});

test('CORS_ORIGINS that are no origins are refused', () => {
  for (const wrong of ['app.example.com', 'https://app.example.com/', 'https://*.example.com', 'null'])
    expect(() => parseConfig({ CORS_ORIGINS: wrong })).toThrow('CORS_ORIGINS: must be origins');
});
