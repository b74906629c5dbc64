import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { cacheEvents } from '../../src/store/event-cache.ts';
import { body, Harness, jsonOf } from './harness.ts';

let gateway: Harness;
beforeEach(async () => {
  gateway = await Harness.open();
  await gateway.deploy({
    description: 'old',
    timeoutMs: 5,
    env: { A: '1', B: '2' },
    secrets: { KEY: 'hush', PIN: 'hush' },
  });
});
afterEach(() => gateway[Symbol.asyncDispose]());

const path = '/v1/events/hello';
const patch = (changes: unknown, sub?: string) => gateway.send('PATCH', path, changes, sub);
const stored = async () => (await gateway.store.events.find('hello'))!;

describe('a patch', () => {
  test('changes what it names and leaves the rest', async () => {
    const response = await patch({ code: 'two', env: { B: null, C: '3' }, secrets: { PIN: null } });
    expect(response.status).toBe(200);
    const env = { A: '1', C: '3' };
    expect(await response.json()).toMatchObject({ version: 2, description: 'old', timeoutMs: 5, env });
    expect((await stored()).current).toMatchObject({ code: 'two', env, secrets: { KEY: 'hush' } });
  });

  test('of what does not change how it runs, or of nothing, makes no version', async () => {
    expect(await (await patch({ description: 'new', enabled: false })).json()).toMatchObject({
      version: 1,
      description: 'new',
      enabled: false,
    });
    expect(await (await patch({})).json()).toMatchObject({ version: 1, description: 'new' });
    expect(await (await patch({ name: 'hello', env: { A: '1', X: null } })).json()).toMatchObject({
      version: 1,
    });
  });

  test('with null puts fields back to their defaults and removes all variables', async () => {
    const response = await patch({ timeoutMs: null, description: null, env: null, secrets: null });
    const defaults = { timeoutMs: 30_000, description: '', env: {}, secretNames: [] };
    expect(await response.json()).toMatchObject({ version: 2, ...defaults });
  });

  test('moves a variable between the environment and the secrets', async () => {
    expect(await (await patch({ env: { KEY: 'plain' } })).json()).toMatchObject({
      env: { A: '1', B: '2', KEY: 'plain' },
      secretNames: ['PIN'],
    });
    expect(await (await patch({ secrets: { A: 'hush' } })).json()).toMatchObject({
      env: { B: '2', KEY: 'plain' },
      secretNames: ['A', 'PIN'],
    });
  });

  test.each<[string, unknown, string[]]>([
    ['another name', { name: 'other' }, ['name']],
    ['no runtime', { runtime: null }, ['runtime']],
    ['empty code', { code: '' }, ['code']],
    ['an unknown member', { memory: 1 }, ['memory']],
    ['a limit out of range', { cpus: 0 }, ['cpus']],
    ['a variable that is both', { env: { X: '1' }, secrets: { X: '1' } }, ['secrets.X']],
    ['a reserved variable', { env: { CRONIUM_X: '1' } }, ['env.CRONIUM_X']],
    ['more variables than there may be', { env: { C: 'x'.repeat(65_530) } }, ['env']],
  ])('to %s is refused and changes nothing', async (_what, changes, paths) => {
    const before = await stored();
    const response = await patch(changes);
    expect(response.status).toBe(422);
    const { errors } = await jsonOf<{ errors: { path: string }[] }>(response);
    expect(errors.map((error) => error.path)).toEqual(paths);
    expect(await stored()).toEqual(before);
  });

  test('is taken as merge-patch+json too, from the owner only', async () => {
    const headers = {
      ...(await gateway.bearer('alice')),
      'content-type': 'application/merge-patch+json; charset=utf-8',
    };
    const init = { method: 'PATCH', headers, body: '{"code":"two"}' };
    expect(await (await gateway.app.request(path, init)).json()).toMatchObject({ version: 2 });
    expect((await patch({}, 'bob')).status).toBe(404);
    expect((await gateway.send('PATCH', '/v1/events/nobody', {})).status).toBe(404);
  });

  test('and others at once lose nothing of one another', async () => {
    const names = ['C', 'D', 'E', 'F', 'G'];
    await Promise.all(names.map((name) => patch({ env: { [name]: '1' } })));
    expect(Object.keys((await stored()).current.env)).toEqual(expect.arrayContaining(names));
    expect((await stored()).current.version).toBe(6);
  });

  test('and a replacement without secrets at once keep the secrets that were set', async () => {
    await Promise.all([
      patch({ secrets: { NEW: 'hush' } }),
      gateway.send('PUT', path, body()),
      patch({ secrets: { NEWER: 'hush' } }),
    ]);
    expect(Object.keys((await stored()).current.secrets).sort()).toEqual(['KEY', 'NEW', 'NEWER', 'PIN']);
  });
});

describe('an ETag', () => {
  test('lets a change through only when nobody changed the event meanwhile', async () => {
    const etag = (await gateway.send('GET', path)).headers.get('etag')!;
    const change = async (method: string, ifMatch: string, changes?: unknown, below = '') => {
      const headers = {
        ...(await gateway.bearer('alice')),
        'content-type': 'application/json',
        'if-match': ifMatch,
      };
      const init = changes === undefined ? {} : { body: JSON.stringify(changes) };
      return gateway.app.request(path + below, { method, headers, ...init });
    };
    const first = await change('PATCH', etag, { description: 'mine' });
    expect(first.status).toBe(200);
    const next = first.headers.get('etag')!;
    expect(next).not.toBe(etag);
    for (const [method, changes, below] of [
      ['PATCH', { description: 'theirs' }],
      ['PUT', body()],
      ['POST', { version: 1 }, '/rollback'],
      ['DELETE', undefined],
    ] as const) {
      const late = await change(method, etag, changes, below);
      expect([late.status, await late.json()]).toMatchObject([412, { code: 'precondition_failed' }]);
    }
    expect((await stored()).description).toBe('mine');
    expect((await change('PUT', `"x", ${next}`, body())).status).toBe(200);
    expect((await change('DELETE', '*')).status).toBe(204);
  });
});

describe('the versions of an event', () => {
  test('are listed, newest first, in pages, with their URLs and without secrets', async () => {
    for (const code of ['two', 'three']) await patch({ code });
    type Page = { items: Record<string, unknown>[]; nextCursor: string | null };
    const first = await gateway.send('GET', `${path}/versions?limit=2`);
    const page = await jsonOf<Page>(first);
    expect(page.items).toMatchObject([
      { version: 3, current: true, url: 'http://localhost/e/hello@3', secretNames: ['KEY', 'PIN'] },
      { version: 2, current: false },
    ]);
    expect(JSON.stringify(page)).not.toContain('hush');
    expect(page.items[0]).not.toHaveProperty('code');
    const rest = await gateway.send('GET', `${path}/versions?limit=2&cursor=${page.nextCursor}`);
    expect(await rest.json()).toMatchObject({ items: [{ version: 1 }], nextCursor: null });
  });

  test('are read one by one with their code', async () => {
    await patch({ code: 'two' });
    const first = await gateway.send('GET', `${path}/versions/1`);
    expect(await first.json()).toMatchObject({ version: 1, current: false, code: body().code });
    for (const version of ['0', '3', '01', 'x', '1e0', '9999999999']) {
      expect((await gateway.send('GET', `${path}/versions/${version}`)).status, version).toBe(404);
    }
    expect((await gateway.send('GET', `${path}/versions`, undefined, 'bob')).status).toBe(404);
    expect((await gateway.send('GET', `${path}/versions/1`, undefined, 'bob')).status).toBe(404);
  });

  test('are rolled back to without a new one, and the next deploy is numbered after the newest', async () => {
    await patch({ code: 'two' });
    await patch({ description: 'kept' });
    const response = await gateway.send('POST', `${path}/rollback`, { version: 1 });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ version: 1, description: 'kept', timeoutMs: 5 });
    expect(await (await patch({ code: 'three' })).json()).toMatchObject({ version: 3 });
    expect((await gateway.send('POST', `${path}/rollback`, { version: 9 })).status).toBe(404);
    expect((await gateway.send('POST', `${path}/rollback`, { version: 1 }, 'bob')).status).toBe(404);
    expect((await gateway.send('POST', `${path}/rollback`, { version: '1' })).status).toBe(422);
  });
});

describe('a version’s own URL', () => {
  const call = async (url: string, sub = 'alice', scope?: string) =>
    gateway.app.request(url, { headers: await gateway.bearer(sub, scope) });

  test('calls that version, whatever is current', async () => {
    await patch({ code: 'two', timeoutMs: 9 });
    for (const url of ['/e/hello@1', '/e/hello%401/a/b?x=1', '/e/hello@2', '/e/hello']) {
      expect((await call(url)).status, url).toBe(200);
    }
    expect(gateway.calls.map(({ event }) => event.current.version)).toEqual([1, 1, 2, 2]);
    expect(gateway.calls[0]?.event.current.limits.timeoutMs).toBe(5);
    expect(gateway.calls[1]?.payload).toMatchObject({
      rawPath: '/a/b',
      rawQueryString: 'x=1',
      requestContext: { apiId: 'hello' },
    });
  });

  test('is nothing where there is no such version', async () => {
    for (const url of ['/e/hello@2', '/e/hello@0', '/e/hello@', '/e/hello@x', '/e/hello@1@1', '/e/@1']) {
      expect((await call(url)).status, url).toBe(404);
    }
    expect(gateway.calls).toHaveLength(0);
  });

  test('takes the same tokens as the event’s, and tells those without one nothing of versions', async () => {
    expect((await call('/e/hello@1', 'bob', 'event:hello:invoke')).status).toBe(200);
    expect((await call('/e/hello@1', 'bob', 'events:invoke')).status).toBe(403);
    for (const url of ['/e/hello@1', '/e/hello@7']) {
      expect((await gateway.app.request(url)).status, url).toBe(401);
    }
    await patch({ enabled: false });
    expect((await call('/e/hello@1')).status).toBe(403);
  });

  test('reads the database once and no more', async () => {
    let reads = 0;
    const count = <A extends unknown[], R>(read: (...args: A) => R) => {
      return (...args: A): R => {
        reads += 1;
        return read(...args);
      };
    };
    const { events } = gateway.store;
    const counted = { ...events, find: count(events.find), findVersion: count(events.findVersion) };
    await using cached = await Harness.open({ events: cacheEvents(counted) });
    await patch({ code: 'two', auth: 'public' });
    for (let n = 0; n < 5; n++) expect((await cached.app.request('/e/hello@1')).status).toBe(200);
    expect(reads).toBe(2);
  });
});
