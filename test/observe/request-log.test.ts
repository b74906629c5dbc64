import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hangs } from '../core/fakes.ts';
import { listen } from '../http/harness.ts';
import { Watched } from './watched.ts';

let gateway: Watched;
beforeEach(async () => {
  gateway = await Watched.open();
  await gateway.harness.deploy({ auth: 'jwt', timeoutMs: 50 });
  (await gateway.written()).length = 0;
});
afterEach(() => gateway[Symbol.asyncDispose]());

const invokeAs = async (sub: string, init: RequestInit = {}, query = '') =>
  gateway.harness.app.request(`/e/hello/deep${query}`, {
    ...init,
    headers: { ...(await gateway.harness.bearer(sub)), ...(init.headers as Record<string, string>) },
  });

describe('the log of requests', () => {
  test('has one line for a call, with everything that finds it again', async () => {
    const response = await invokeAs('alice', { headers: { 'x-request-id': 'abc-1' } });
    expect(await gateway.written()).toEqual([
      expect.objectContaining({
        level: 30,
        msg: 'request',
        requestId: 'abc-1',
        method: 'GET',
        route: '/e/:event/*',
        path: '/e/hello/deep',
        status: 200,
        ms: expect.any(Number),
        userId: 'alice',
        invocationId: response.headers.get('x-cronium-invocation-id'),
        event: 'hello',
        version: 1,
        start: 'cold',
        isolation: 'fake',
      }),
    ]);
  });

  test('never has what was sent: body, query, headers or token', async () => {
    gateway.script = async () => {
      throw new Error('own-words');
    };
    await invokeAs(
      'alice',
      { method: 'POST', body: 'secret-body', headers: { 'x-key': 'secret-header' } },
      '?q=secret-query',
    );
    await gateway.harness.app.request('/e/hello', { headers: { authorization: 'Bearer secret.bad.token' } });
    expect(await gateway.written()).toHaveLength(2);
    expect(JSON.stringify(await gateway.written())).not.toMatch(/secret|eyJ|own-words/);
  });

  test.each([
    ['/e/hello', {}, 401, 30, 'unauthorized', '/e/:event'],
    ['/nothing/here', {}, 404, 30, 'not_found', 'unmatched'],
    ['/v1/pools', { method: 'DELETE' }, 405, 30, 'method_not_allowed', '/v1/pools'],
    ['/healthz', {}, 200, 20, undefined, '/healthz'],
    ['/metrics', {}, 200, 20, undefined, '/metrics'],
  ])('has a line for %s %j: %i at level %i', async (path, init, status, level, code, route) => {
    await gateway.harness.app.request(path, init);
    expect(await gateway.written()).toHaveLength(1);
    const [line] = await gateway.written();
    expect(line).toMatchObject({ status, level, route });
    expect(line!.code).toBe(code);
  });

  test('warns of a function that failed, and finds its invocation', async () => {
    gateway.script = hangs;
    await invokeAs('alice');
    expect(await gateway.written()).toEqual([
      expect.objectContaining({
        level: 40,
        status: 504,
        code: 'function_timeout',
        invocationId: expect.any(String),
      }),
    ]);
  });

  test('has the address of the socket, and not what a header says', async () => {
    await using server = await listen(gateway.harness.app);
    await fetch(`${server.url}/healthz`, { headers: { 'x-forwarded-for': '9.9.9.9' } });
    expect((await gateway.written())[0]).toMatchObject({ remoteAddress: '127.0.0.1' });
  });

  test('takes no id from outside that could be taken for something else', async () => {
    const response = await gateway.harness.app.request('/healthz', {
      headers: { 'x-request-id': '{"level":60}' },
    });
    expect(response.headers.get('x-request-id')).toMatch(/^[\w-]+$/);
    expect((await gateway.written())[0]!.requestId).toBe(response.headers.get('x-request-id'));
  });
});

describe('Server-Timing', () => {
  test('is on every answer', async () => {
    for (const path of ['/healthz', '/nothing', '/docs', '/e/hello', '/openapi.json']) {
      const response = await gateway.harness.app.request(path);
      expect(response.headers.get('server-timing'), path).toMatch(/^total;dur=[\d.]+$/);
    }
  });

  test('tells where the time of a failed call went', async () => {
    gateway.script = hangs;
    const timing = (await invokeAs('alice')).headers.get('server-timing');
    expect(timing).toMatch(/^admit;dur=[\d.]+, acquire;dur=[\d.]+, inject;dur=[\d.]+, exec;dur=[\d.]+$/);
  });
});
