import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import { Harness, jsonOf } from './harness.ts';

let gateway: Harness;
beforeEach(async () => {
  gateway = await Harness.open();
  await gateway.deploy();
});
afterEach(() => gateway[Symbol.asyncDispose]());

const RESPOND_ASYNC = { prefer: 'respond-async' };

const call = async (headers: Record<string, string>, path = '/e/hello', init: RequestInit = {}) =>
  gateway.app.request(path, {
    method: 'POST',
    ...init,
    headers: { ...(await gateway.bearer('alice')), ...headers },
  });

describe('a call that is not waited for', () => {
  test.each([
    ['Prefer: respond-async', { prefer: 'respond-async' }],
    ['it among other preferences', { prefer: 'return=minimal, Respond-Async; wait=5' }],
    ['X-Amz-Invocation-Type: Event', { 'x-amz-invocation-type': 'Event' }],
  ])('is asked for by %s, stored and answered by 202', async (_name, headers) => {
    const response = await call(headers, '/e/hello/a?b=c', { method: 'PUT', body: '{"x":1}' });
    expect(response.status).toBe(202);
    const body = await jsonOf<{ id: string }>(response);
    expect(body).toEqual({ id: expect.any(String), status: 'queued', event: 'hello', version: 1 });
    expect(response.headers.get('location')).toBe(`/v1/invocations/${body.id}`);
    expect(response.headers.get('x-cronium-invocation-id')).toBe(body.id);
    expect(response.headers.get('preference-applied')).toBe('prefer' in headers ? 'respond-async' : null);
    expect(gateway.calls).toEqual([]);
    const [claimed] = await gateway.store.queue.claim('test:1', 5, 1_000);
    expect(claimed).toMatchObject({
      id: body.id,
      trigger: 'async',
      callerId: 'alice',
      payload: { rawPath: '/a', rawQueryString: 'b=c', requestContext: { requestId: body.id } },
    });
  });

  test('pins the version that it names, or the one that is current', async () => {
    await gateway.send('PUT', '/v1/events/hello', { runtime: 'bash', code: 'true' });
    await call(RESPOND_ASYNC);
    await call(RESPOND_ASYNC, '/e/hello@1');
    const claimed = await gateway.store.queue.claim('test:1', 5, 1_000);
    expect(claimed.map(({ eventVersion }) => eventVersion)).toEqual([2, 1]);
  });

  test.each(['/e/hello', '/2015-03-31/functions/hello/invocations'])(
    'of an event that demands more isolation than there is is refused at once (%s)',
    async (path) => {
      await gateway.send('PATCH', '/v1/events/hello', { minIsolation: 'gvisor' });
      const refused = await call({ 'x-amz-invocation-type': 'Event' }, path);
      expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '60']);
      expect(await refused.text()).toContain('The event hello demands gvisor');
      expect(gateway.enqueued).toEqual([]);
      const keyed = { ...RESPOND_ASYNC, 'idempotency-key': 'once' };
      expect((await call(keyed)).status).toBe(503);
      await gateway.send('PATCH', '/v1/events/hello', { minIsolation: null });
      expect((await call(keyed)).status).toBe(202);
    },
  );

  test('is refused as one that is waited for is, and nothing is stored', async () => {
    await gateway.deploy({ name: 'off', enabled: false });
    const anonymous = { ...RESPOND_ASYNC, authorization: '' };
    const statuses = [
      await call(RESPOND_ASYNC, '/e/nobody'),
      await call(RESPOND_ASYNC, '/e/hello@9'),
      await call(RESPOND_ASYNC, '/e/off'),
      await call({ ...RESPOND_ASYNC, ...(await gateway.bearer('bob')) }),
      await call(anonymous),
      await call(RESPOND_ASYNC, '/e/hello', { body: 'x'.repeat(1_001) }),
    ].map(({ status }) => status);
    expect(statuses).toEqual([404, 404, 403, 403, 401, 413]);
    expect(await gateway.store.queue.depth()).toMatchObject({ queued: 0 });
  });

  test('is stored with what its receipt will be of, where one is asked for', async () => {
    const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
    const asked = { 'x-cronium-receipt': 'true', 'x-amz-invocation-type': 'Event' };
    const lambda = '/2015-03-31/functions/hello/invocations';
    await call(asked, '/e/hello/a?b=c', { body: 'x' });
    await call(asked, lambda, { body: '{}' });
    await call({ ...asked, 'x-cronium-receipt': 'false' });
    const refused = await call({ ...asked, 'x-cronium-receipt': 'please' });
    expect([refused.status, await refused.json()]).toMatchObject([400, { code: 'bad_request' }]);
    expect((await call({ ...asked, 'x-cronium-receipt': 'please' }, lambda, { body: '{}' })).status).toBe(
      400,
    );
    const claimed = await gateway.store.queue.claim('test:1', 9, 1_000);
    expect(claimed.map(({ inputSha256 }) => inputSha256)).toEqual([
      sha256('POST /e/hello/a?b=c\nx'),
      sha256(`POST ${lambda}\n{}`),
      null,
    ]);
  });

  test('is 503 with a time to come again when it cannot be stored', async () => {
    await using away = await Harness.open({
      enqueuer: {
        enqueue: () =>
          Promise.reject(new GatewayError('store_unavailable', 'away', { retryAfterSeconds: 1 })),
      },
    });
    await away.deploy();
    const headers = { ...(await away.bearer('alice')), ...RESPOND_ASYNC };
    const response = await away.app.request('/e/hello', { headers });
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1']);
  });
});

describe('X-Callback-Url', () => {
  test('is kept with the invocation', async () => {
    await call({ ...RESPOND_ASYNC, 'x-callback-url': 'https://example.com/told?x=1' });
    const [claimed] = await gateway.store.queue.claim('test:1', 1, 1_000);
    expect(claimed?.callbackUrl).toBe('https://example.com/told?x=1');
  });

  test.each([
    'ftp://example.com/',
    'nonsense',
    'https://user:pass@example.com/',
    `https://e.com/${'x'.repeat(2_048)}`,
  ])('may not be %s', async (url) => {
    const response = await call({ ...RESPOND_ASYNC, 'x-callback-url': url });
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({ errors: [{ path: 'X-Callback-Url' }] });
  });

  test('is not for who is nobody', async () => {
    await gateway.deploy({ name: 'open', auth: 'public' });
    const headers = { ...RESPOND_ASYNC, 'x-callback-url': 'https://example.com/' };
    expect((await gateway.app.request('/e/open', { headers })).status).toBe(401);
  });
});
