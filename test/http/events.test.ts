import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WIDEST_TIER } from '../../src/core/tiers.ts';
import { body, Harness, jsonOf } from './harness.ts';

let gateway: Harness;
beforeEach(async () => {
  gateway = await Harness.open();
});
afterEach(() => gateway[Symbol.asyncDispose]());

describe('POST /v1/events', () => {
  test('deploys with the defaults, and tells where', async () => {
    const response = await gateway.send('POST', '/v1/events', body());
    expect(response.status).toBe(201);
    expect(response.headers.get('location')).toBe('/v1/events/hello');
    expect(await response.json()).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      name: 'hello',
      url: 'http://localhost/e/hello',
      version: 1,
      runtime: 'python',
      description: '',
      auth: 'jwt',
      timeoutMs: 30_000,
      memoryMb: 512,
      cpus: 0.5,
      minIsolation: null,
      isolationMet: true,
      env: {},
      secretNames: [],
      async: {
        attempts: 3,
        backoffMs: 1_000,
        maxBackoffMs: 300_000,
        maxAgeMs: 21_600_000,
        concurrency: null,
        onSuccess: null,
        onFailure: null,
      },
      enabled: true,
      codeSha256: createHash('sha256').update(String(body().code)).digest('hex'),
      createdAt: expect.stringMatching(/Z$/),
      updatedAt: expect.stringMatching(/Z$/),
    });
  });

  test('takes a demand that this gateway does not meet, and says so; what is left out demands nothing', async () => {
    const deployed = await gateway.send('POST', '/v1/events', { ...body(), minIsolation: 'gvisor' });
    expect(await deployed.json()).toMatchObject({ minIsolation: 'gvisor', isolationMet: false, version: 1 });
    const lowered = await gateway.send('PUT', '/v1/events/hello', body());
    expect(await lowered.json()).toMatchObject({ minIsolation: null, isolationMet: true, version: 2 });
    const versions = await gateway.send('GET', '/v1/events/hello/versions');
    expect(await versions.json()).toMatchObject({
      items: [{ minIsolation: null }, { minIsolation: 'gvisor', isolationMet: false }],
    });
  });

  test('names secrets and never tells them', async () => {
    const secrets = { TOKEN: 'hush-hush', A: 'hush-hush' };
    const texts = [
      await (await gateway.send('POST', '/v1/events', { ...body(), secrets })).text(),
      await (await gateway.send('GET', '/v1/events/hello')).text(),
      await (await gateway.send('GET', '/v1/events')).text(),
    ];
    for (const text of texts) expect(text).not.toContain('hush');
    expect(JSON.parse(texts[0]!).secretNames).toEqual(['A', 'TOKEN']);
  });

  test('refuses a name that is taken, by another owner too', async () => {
    await gateway.deploy();
    const response = await gateway.send('POST', '/v1/events', body(), 'bob');
    expect(response.status).toBe(409);
    expect(await response.json()).toMatchObject({ code: 'event_exists' });
  });

  test.each<[string, Record<string, unknown>, string[]]>([
    ['a missing name', { name: undefined }, ['name']],
    ['a name with capitals', { name: 'Hello' }, ['name']],
    ['a name that is too long', { name: 'x'.repeat(64) }, ['name']],
    ['an unknown runtime', { runtime: 'ruby' }, ['runtime']],
    ['empty code', { code: '' }, ['code']],
    ['an isolation that there is not', { minIsolation: 'vault' }, ['minIsolation']],
    ['code that is too big', { code: 'é'.repeat(524_289) }, ['code']],
    ['code with half a surrogate pair', { code: '\ud800' }, ['code']],
    ['unknown members', { runtimee: 1, memory: 2 }, ['runtimee', 'memory']],
    ['limits out of range', { timeoutMs: 0, memoryMb: 1, cpus: 1_000 }, ['timeoutMs', 'memoryMb', 'cpus']],
    ['a limit that is no number', { timeoutMs: '5' }, ['timeoutMs']],
    ['a name no variable can have', { env: { 'A-B': '1' } }, ['env.A-B']],
    ['a variable that is no text', { env: { A: 1 } }, ['env.A']],
    [
      'reserved variables',
      { env: { CRONIUM_X: '', _HANDLER: '' }, secrets: { AWS_LAMBDA_X: '' } },
      ['env.CRONIUM_X', 'env._HANDLER', 'secrets.AWS_LAMBDA_X'],
    ],
    ['NUL in a variable', { secrets: { A: 'x\0' } }, ['secrets.A']],
    ['too many variables', { env: { A: 'x'.repeat(70_000) } }, ['env']],
    ['a name that is both variable and secret', { env: { A: '' }, secrets: { A: '' } }, ['secrets.A']],
    ['an auth mode that is none', { auth: 'none' }, ['auth']],
  ])('refuses %s and names the fault', async (_what, changes, paths) => {
    const response = await gateway.send('POST', '/v1/events', { ...body(), ...changes });
    expect(response.status).toBe(422);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    const problem = await jsonOf<{ errors: { path: string }[] }>(response);
    expect(problem).toMatchObject({ type: 'about:blank', status: 422, code: 'validation_failed' });
    expect(problem.errors.map((error) => error.path).sort()).toEqual(paths.sort());
  });

  test.each([
    ['{"name": "x",}', 13, 'line 1, column 14'],
    ['{\n  "name": nope\n}', 13, 'line 2, column 12'],
    ['', 0, 'line 1, column 1'],
    ['{"a": "b', 8, 'line 1, column 9'],
    ['{} trailing', 3, 'line 1, column 4'],
    ['{"a": tru', 9, 'line 1, column 10'],
    ["{'a': 1}", 1, 'line 1, column 2'],
  ])('says where %j is not JSON', async (text, position, place) => {
    const response = await gateway.send('POST', '/v1/events', text);
    expect(response.status).toBe(400);
    const problem = await jsonOf<{ code: string; detail: string }>(response);
    expect(problem.code).toBe('invalid_json');
    expect(problem.detail).toContain(`position ${position} (${place})`);
  });

  test('takes JSON only', async () => {
    for (const type of ['text/plain', 'application/jsonp', undefined]) {
      const headers = { ...(await gateway.bearer('alice')), ...(type ? { 'content-type': type } : {}) };
      const init = { method: 'POST', headers, body: Buffer.from(JSON.stringify(body())) };
      const response = await gateway.app.request('/v1/events', init);
      expect(response.status).toBe(415);
      expect(await response.json()).toMatchObject({ code: 'unsupported_media_type' });
    }
  });

  test('refuses a body beyond all measure', async () => {
    const response = await gateway.send('POST', '/v1/events', ' '.repeat(9 * 2 ** 20));
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ code: 'body_too_large' });
  });
});

describe('one event', () => {
  test('is read with its code, by its owner only', async () => {
    await gateway.deploy();
    expect(await (await gateway.send('GET', '/v1/events/hello')).json()).toMatchObject({ code: body().code });
    for (const method of ['GET', 'DELETE']) {
      const response = await gateway.send(method, '/v1/events/hello', undefined, 'bob');
      expect(response.status).toBe(404);
    }
    expect((await gateway.send('PUT', '/v1/events/hello', body(), 'bob')).status).toBe(404);
    expect((await gateway.send('GET', '/v1/events/nobody')).status).toBe(404);
  });

  test('is listed for its owner only', async () => {
    await gateway.deploy({ name: 'b' });
    await gateway.deploy({ name: 'a' });
    await gateway.deploy({ name: 'c' }, 'bob');
    const { items } = await jsonOf<{ items: { name: string }[] }>(await gateway.send('GET', '/v1/events'));
    expect(items.map((item) => item.name)).toEqual(['a', 'b']);
    expect(items[0]).not.toHaveProperty('code');
  });

  test('is replaced whole: what is left out takes its default again', async () => {
    await gateway.deploy({ timeoutMs: 5, description: 'old', env: { A: '1' } });
    const { name, ...rest } = body();
    const response = await gateway.send('PUT', '/v1/events/hello', { ...rest, code: 'new' });
    expect(response.status).toBe(200);
    const replaced = { name, version: 2, timeoutMs: 30_000, description: '', env: {} };
    expect(await response.json()).toMatchObject(replaced);
  });

  test('keeps its secrets when a replacement names none, and loses them when it names others', async () => {
    await gateway.deploy({ secrets: { TOKEN: 'hush' } });
    const kept = await (await gateway.send('PUT', '/v1/events/hello', body())).json();
    expect(kept).toMatchObject({ version: 1, secretNames: ['TOKEN'] });
    expect((await gateway.store.events.find('hello'))?.current.secrets).toEqual({ TOKEN: 'hush' });
    const moved = await gateway.send('PUT', '/v1/events/hello', { ...body(), env: { TOKEN: 'plain' } });
    expect(await moved.json()).toMatchObject({ version: 2, secretNames: [] });
    const cleared = await gateway.send('PUT', '/v1/events/hello', { ...body(), secrets: { OTHER: 'x' } });
    expect(await cleared.json()).toMatchObject({ version: 3, secretNames: ['OTHER'] });
  });

  test('is not renamed and not made by a replacement', async () => {
    await gateway.deploy();
    const renamed = await gateway.send('PUT', '/v1/events/hello', { ...body(), name: 'other' });
    expect(renamed.status).toBe(422);
    expect(await renamed.json()).toMatchObject({ errors: [{ path: 'name' }] });
    expect((await gateway.send('PUT', '/v1/events/other', { ...body(), name: 'other' })).status).toBe(404);
  });

  test('is removed once', async () => {
    await gateway.deploy();
    expect((await gateway.send('DELETE', '/v1/events/hello')).status).toBe(204);
    expect((await gateway.send('DELETE', '/v1/events/hello')).status).toBe(404);
  });
});

describe('the configured public URL', () => {
  test('is where the functions are said to be', async () => {
    const config = {
      PUBLIC_URL: 'https://fn.example.com/base/',
      TIERS: { default: WIDEST_TIER },
      QUEUE_TIMEOUT_MS: 10_000,
      IDEMPOTENCY_TTL_MS: 86_400_000,
      MAX_BODY_BYTES: 10,
      MAX_VARIABLES: 5,
      MAX_VARIABLES_BYTES: 100_000,
      DEFAULT_TIMEOUT_MS: 1,
      DEFAULT_MEMORY_MB: 64,
      DEFAULT_CPUS: 1,
    };
    await using other = await Harness.open({ config });
    const deployed = await (await other.send('POST', '/v1/events', body())).json();
    expect(deployed).toMatchObject({ url: 'https://fn.example.com/base/e/hello', timeoutMs: 1, cpus: 1 });
  });
});
