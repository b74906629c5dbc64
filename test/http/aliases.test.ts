import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import { seeded } from '../core/fakes.ts';
import { Harness, jsonOf } from './harness.ts';

let gateway: Harness;
let random: () => number;
beforeEach(async () => {
  random = () => 0;
  gateway = await Harness.open({ random: () => random() });
  await gateway.deploy();
  for (const code of ['two', 'three']) await gateway.send('PATCH', '/v1/events/hello', { code });
});
afterEach(() => gateway[Symbol.asyncDispose]());

const path = '/v1/events/hello/aliases';
const put = (body: unknown, alias = 'live', sub?: string) =>
  gateway.send('PUT', `${path}/${alias}`, body, sub);

describe('an alias', () => {
  test('is made, shown, moved, listed and removed', async () => {
    const made = await put({ version: 1 });
    expect(made.status).toBe(201);
    const view = {
      name: 'live',
      event: 'hello',
      url: 'http://localhost/e/hello:live',
      version: 1,
      weights: {},
      createdAt: expect.any(String),
      updatedAt: expect.any(String),
    };
    expect(await made.json()).toEqual(view);
    const moved = await put({ version: 2, weights: { 3: 0.25 } });
    expect(moved.status).toBe(200);
    const shown = await gateway.send('GET', `${path}/live`);
    expect(shown.headers.get('etag')).toBe(moved.headers.get('etag'));
    expect(await shown.json()).toMatchObject({ version: 2, weights: { 3: 0.25 } });
    await put({ version: 3 }, 'canary');
    const list = await jsonOf<{ items: { name: string }[] }>(await gateway.send('GET', path));
    expect(list.items.map((item) => item.name)).toEqual(['canary', 'live']);
    expect((await gateway.send('DELETE', `${path}/live`)).status).toBe(204);
    expect((await gateway.send('GET', `${path}/live`)).status).toBe(404);
    expect((await gateway.send('DELETE', `${path}/live`)).status).toBe(404);
  });

  test.each<[string, string, unknown, string[]]>([
    ['no version', 'live', {}, ['version']],
    ['a version that there is not', 'live', { version: 4 }, ['version']],
    ['a split to what there is not', 'live', { version: 1, weights: { 9: 0.1 } }, ['weights.9']],
    ['two splits', 'live', { version: 1, weights: { 2: 0.1, 3: 0.1 } }, ['weights']],
    ['a split to itself', 'live', { version: 1, weights: { 1: 0.1 } }, ['weights.1']],
    ['no share', 'live', { version: 1, weights: { 2: 0 } }, ['weights.2']],
    ['a whole share', 'live', { version: 1, weights: { 2: 1 } }, ['weights.2']],
    ['a share for a name', 'live', { version: 1, weights: { two: 0.5 } }, ['weights.two']],
    ['an unknown member', 'live', { version: 1, sticky: true }, ['sticky']],
    ['a number for a name', '7', { version: 1 }, ['alias']],
    ['capitals in its name', 'Live', { version: 1 }, ['alias']],
  ])('with %s is refused by name', async (_what, alias, body, paths) => {
    const response = await put(body, alias);
    expect(response.status).toBe(422);
    const { errors } = await jsonOf<{ errors: { path: string }[] }>(response);
    expect(errors.map((error) => error.path)).toEqual(paths);
    expect(await (await gateway.send('GET', path)).json()).toEqual({ items: [] });
  });

  test('of another’s event is not to be found, and needs its scopes', async () => {
    await put({ version: 1 });
    expect((await put({ version: 2 }, 'live', 'bob')).status).toBe(404);
    for (const method of ['GET', 'DELETE']) {
      expect((await gateway.send(method, `${path}/live`, undefined, 'bob')).status).toBe(404);
    }
    const headers = await gateway.bearer('alice', 'events:read');
    const refused = await gateway.app.request(`${path}/live`, { method: 'DELETE', headers });
    expect(refused.status).toBe(403);
  });

  test('changes for those only who saw it as it is, when they ask for that', async () => {
    const etag = (await put({ version: 1 })).headers.get('etag')!;
    const send = async (method: string, ifMatch: string, alias = 'live') =>
      gateway.app.request(`${path}/${alias}`, {
        method,
        headers: {
          ...(await gateway.bearer('alice')),
          'content-type': 'application/json',
          'if-match': ifMatch,
        },
        ...(method === 'PUT' && { body: '{"version":2}' }),
      });
    expect((await send('PUT', etag)).status).toBe(200);
    for (const method of ['PUT', 'DELETE']) {
      const late = await send(method, etag);
      expect(late.status).toBe(412);
      expect(await late.json()).toMatchObject({ code: 'precondition_failed' });
    }
    expect((await send('PUT', '*', 'new')).status).toBe(412);
    expect((await send('DELETE', '*')).status).toBe(204);
  });
});

describe('a call of an alias', () => {
  const call = (url: string, init: RequestInit = {}) =>
    gateway.bearer('alice').then((headers) => gateway.app.request(url, { ...init, headers }));

  test('runs the version that it points to, below its path too, and follows it', async () => {
    await put({ version: 1 });
    const first = await call('/e/hello:live/deep/er?q=1');
    expect([first.status, first.headers.get('x-cronium-version')]).toEqual([200, '1']);
    expect(gateway.calls[0]).toMatchObject({
      event: { current: { version: 1 } },
      payload: { rawPath: '/deep/er', rawQueryString: 'q=1' },
    });
    await put({ version: 2 });
    expect((await call('/e/hello:live')).headers.get('x-cronium-version')).toBe('2');
    expect((await call('/e/hello')).headers.get('x-cronium-version')).toBe('3');
    expect((await call('/e/hello@1')).headers.get('x-cronium-version')).toBe('1');
  });

  test('that fails tells the version, too', async () => {
    await put({ version: 2 });
    gateway.answer = () => {
      throw new GatewayError('function_error', 'boom');
    };
    const failed = await call('/e/hello:live');
    expect([failed.status, failed.headers.get('x-cronium-version')]).toEqual([502, '2']);
  });

  test.each(['hello:nobody', 'hello:1', 'hello:', 'hello:live@1', 'hello@1:live', 'hello:Live', ':live'])(
    '/e/%s is not found',
    async (name) => {
      await put({ version: 1 });
      expect((await call(`/e/${name}`)).status).toBe(404);
      expect(gateway.calls).toEqual([]);
    },
  );

  test('with a split gives each version its share of the calls', async () => {
    random = seeded(7);
    await put({ version: 2, weights: { 3: 0.1 } });
    const shares = new Map<string | null, number>();
    for (let calls = 0; calls < 1_000; calls++) {
      const version = (await call('/e/hello:live')).headers.get('x-cronium-version');
      shares.set(version, (shares.get(version) ?? 0) + 1);
    }
    const draws = seeded(7);
    const other = Array.from({ length: 1_000 }, draws).filter((draw) => draw < 0.1).length;
    expect(Object.fromEntries(shares)).toEqual({ 2: 1_000 - other, 3: other });
    expect(other).toBeGreaterThan(70);
    expect(other).toBeLessThan(130);
  });

  test('needs what a call of the event needs', async () => {
    await put({ version: 1 });
    expect((await gateway.app.request('/e/hello:live')).status).toBe(401);
    const app = await gateway.bearer('app', 'event:hello:invoke');
    expect((await gateway.app.request('/e/hello:live', { headers: app })).status).toBe(200);
    await gateway.send('PATCH', '/v1/events/hello', { enabled: false });
    expect((await call('/e/hello:live')).status).toBe(403);
  });
});
