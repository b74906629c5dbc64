import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ErrorCode, GatewayError } from '../../src/errors.ts';
import { answer, Harness, jsonOf, listen } from './harness.ts';

let gateway: Harness;
beforeEach(async () => {
  gateway = await Harness.open();
  await gateway.deploy();
  await gateway.deploy({ name: 'open', auth: 'public' });
});
afterEach(() => gateway[Symbol.asyncDispose]());

interface Call {
  path?: string;
  sub?: string;
  key?: string;
  body?: string;
  headers?: Record<string, string>;
}
/** Without `sub` it is nobody who calls. */
async function call({ path = '/e/hello', sub, key = 'k-1', body = '{}', headers = {} }: Call = {}) {
  const token = sub === undefined ? {} : await gateway.bearer(sub, `events:invoke event:hello:invoke`);
  return gateway.app.request(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key, ...token, ...headers },
    body,
  });
}
const alice = (changes: Call = {}) => call({ sub: 'alice', ...changes });
const replayed = (response: Response) => response.headers.get('idempotent-replayed');

test('a call with a key that is none is refused before it runs', async () => {
  expect((await alice({ key: 'a, b' })).status).toBe(400);
  expect(gateway.calls).toEqual([]);
});

describe('the second request with a key', () => {
  test('gets the first answer, byte by byte, and nothing runs', async () => {
    const body = Buffer.from([0, 255, 128, 10]);
    const headers = { 'content-type': 'application/x-own', 'x-own': 'é' };
    gateway.answer = () => answer({ statusCode: 201, headers, cookies: ['a=1', 'b=2'], body });
    const [first, second] = [await alice(), await alice({ key: '"k-1"' })];
    for (const response of [first, second]) {
      expect(response.status).toBe(201);
      expect(Buffer.from(await response.arrayBuffer())).toEqual(body);
      expect(response.headers.get('x-own')).toBe('é');
      expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
      expect(response.headers.get('x-cronium-invocation-id')).toBe(gateway.calls[0]?.id);
      expect(response.headers.get('x-cronium-version')).toBe('1');
    }
    expect([replayed(first), replayed(second)]).toEqual([null, 'true']);
    expect(gateway.calls).toHaveLength(1);
  });

  test('runs, where there is no key', async () => {
    const headers = await gateway.bearer('alice');
    for (let count = 0; count < 2; count++)
      await gateway.app.request('/e/hello', { method: 'POST', headers });
    expect(gateway.calls).toHaveLength(2);
  });

  test.each<[string, Call]>([
    ['another body', { body: '{"a":1}' }],
    ['another path', { path: '/e/hello/x' }],
    ['another query', { path: '/e/hello?a=1' }],
    ['another version', { path: '/e/hello@1' }],
    ['another type of body', { headers: { 'content-type': 'text/plain' } }],
    ['async in place of sync', { headers: { prefer: 'respond-async' } }],
  ])('with %s is refused', async (_what, changes) => {
    await alice();
    const refused = await alice(changes);
    expect([refused.status, await jsonOf(refused)]).toMatchObject([422, { code: 'idempotency_mismatch' }]);
    expect(gateway.calls).toHaveLength(1);
    expect(gateway.enqueued).toEqual([]);
  });

  test('is another one when another user sends it, or for another event', async () => {
    await alice();
    expect(replayed(await call({ sub: 'bob' }))).toBeNull();
    expect(replayed(await alice({ path: '/e/open' }))).toBeNull();
    expect(gateway.calls).toHaveLength(3);
  });

  test('is told to come again while the first runs, also once its client has gone', async () => {
    await using server = await listen(gateway.app);
    const { promise, resolve } = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    gateway.answer = async (_request, signal) => {
      begun.resolve();
      await promise;
      signal.throwIfAborted();
      return answer();
    };
    const leaving = new AbortController();
    const send = (signal?: AbortSignal) =>
      fetch(`${server.url}/e/open`, {
        method: 'POST',
        headers: { 'idempotency-key': 'k' },
        body: 'x',
        ...(signal && { signal }),
      });
    const first = send(leaving.signal);
    await begun.promise;
    leaving.abort();
    await expect(first).rejects.toThrow();
    const second = await send();
    expect([second.status, second.headers.get('retry-after')]).toEqual([409, '1']);
    expect(await jsonOf(second)).toMatchObject({
      code: 'idempotency_conflict',
      error: { invocationId: gateway.calls[0]?.id },
    });
    resolve();
    await expect.poll(async () => (await send()).status).toBe(200);
    expect(replayed(await send())).toBe('true');
    expect(gateway.calls).toHaveLength(1);
  });
});

test('a gateway that dies while it runs gives the key away with its lease, and its late answer counts no more', async () => {
  const { idempotency, events, aliases } = gateway.store;
  const { promise, resolve } = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  await using frozen = await Harness.open({
    events,
    aliases,
    // As if its lease had run out at once, while it is held up.
    idempotency: { ...idempotency, claim: (claim) => idempotency.claim({ ...claim, leaseMs: 0 }) },
  });
  frozen.answer = async () => {
    begun.resolve();
    await promise;
    return answer({ body: Buffer.from('late') });
  };
  gateway.answer = () => answer({ body: Buffer.from('in time') });
  const init = { method: 'POST', headers: { 'idempotency-key': 'k' }, body: '{}' };
  const late = frozen.app.request('/e/open', init);
  await begun.promise;
  expect(await (await gateway.app.request('/e/open', init)).text()).toBe('in time');
  resolve();
  expect(await (await late).text()).toBe('late');
  const again = await gateway.app.request('/e/open', init);
  expect([replayed(again), await again.text()]).toEqual(['true', 'in time']);
  expect(gateway.calls).toHaveLength(1);
});

describe('of what went wrong', () => {
  const failWith = (code: ErrorCode) => {
    gateway.answer = (request) => {
      throw new GatewayError(code, 'the password is hunter2', { invocationId: request.id });
    };
  };

  test.each<ErrorCode>([
    'function_error',
    'out_of_memory',
    'invalid_response',
    'response_too_large',
    'function_timeout',
  ])('%s is kept: the function ran', async (code) => {
    failWith(code);
    const [first, second] = [await alice(), await alice()];
    expect([first.status, second.status]).toEqual([first.status, first.status]);
    expect(await jsonOf(second)).toEqual(await jsonOf(first));
    expect([replayed(first), replayed(second)]).toEqual([null, 'true']);
    expect(second.headers.get('x-cronium-invocation-id')).toBe(gateway.calls[0]?.id);
    expect(gateway.calls).toHaveLength(1);
  });

  test('others than the owner do not read the function’s words, the second time either', async () => {
    failWith('function_error');
    for (let count = 0; count < 2; count++) {
      expect(await (await call({ sub: 'bob' })).text()).not.toContain('hunter2');
    }
    expect(gateway.calls).toHaveLength(1);
  });

  test.each<ErrorCode>([
    'too_many_requests',
    'no_capacity',
    'engine_unavailable',
    'shutting_down',
    'internal_error',
  ])('%s is not kept: it may run the next time', async (code) => {
    failWith(code);
    expect((await alice()).status).toBeGreaterThanOrEqual(429);
    gateway.answer = () => answer();
    expect((await alice()).status).toBe(200);
    expect(gateway.calls).toHaveLength(2);
  });

  test('what was not allowed takes no key', async () => {
    expect((await call({ sub: 'bob', headers: await gateway.bearer('bob', '') })).status).toBe(403);
    expect(replayed(await call({ sub: 'bob' }))).toBeNull();
  });
});

describe('nobody reads what another nobody was answered', () => {
  const nobody = (changes: Call = {}) => call({ path: '/e/open', ...changes });

  test.each<[string, Call]>([
    ['another body', { body: '{"a":1}' }],
    ['a cookie', { headers: { cookie: 'session=2' } }],
    ['another key of the function’s own', { headers: { 'x-api-key': '2' } }],
    ['an authorization of the function’s own', { headers: { authorization: 'Basic YTpi' } }],
  ])('with %s', async (_what, changes) => {
    await nobody();
    expect(replayed(await nobody(changes))).toBeNull();
    expect(gateway.calls).toHaveLength(2);
  });

  test('but the same request is answered the same, however it came', async () => {
    await nobody({ headers: { traceparent: 'a', 'user-agent': 'b', 'x-forwarded-for': '1' } });
    expect(replayed(await nobody({ headers: { 'x-request-id': '2' } }))).toBe('true');
    expect(gateway.calls).toHaveLength(1);
  });
});

describe('a stream', () => {
  const streamOf = (...chunks: (Uint8Array | Error)[]) =>
    new ReadableStream<Uint8Array>({
      pull(controller) {
        const chunk = chunks.shift();
        if (chunk === undefined) controller.close();
        else if (chunk instanceof Error) controller.error(chunk);
        else controller.enqueue(chunk);
      },
    });

  test('is kept as it passes, and given again whole', async () => {
    gateway.answer = () => answer({ body: streamOf(Buffer.from('one '), Buffer.from('two')) });
    expect(await (await alice()).text()).toBe('one two');
    const second = await alice();
    expect([replayed(second), await second.text()]).toEqual(['true', 'one two']);
    expect(gateway.calls).toHaveLength(1);
  });

  test('is read to its end though its client goes', async () => {
    gateway.answer = () => answer({ body: streamOf(Buffer.from('one '), Buffer.from('two')) });
    await (await alice()).body?.cancel();
    await expect.poll(async () => (await alice()).status).toBe(200);
    expect(await (await alice()).text()).toBe('one two');
    expect(gateway.calls).toHaveLength(1);
  });

  test('that fails in the middle is the failure that it was', async () => {
    const broken = new GatewayError('function_error', 'broke in the middle');
    gateway.answer = () => answer({ body: streamOf(Buffer.from('one '), broken) });
    await expect((await alice()).text()).rejects.toThrow();
    const second = await alice();
    expect([second.status, replayed(second)]).toEqual([502, 'true']);
  });

  test('or an answer of more than a MiB is given once, and never run again', async () => {
    const large = Buffer.alloc(700_000, 'x');
    gateway.answer = () => answer({ body: streamOf(large, large) });
    expect((await (await alice()).text()).length).toBe(1_400_000);
    gateway.answer = () => answer({ body: Buffer.concat([large, large]) });
    expect((await (await alice({ key: 'k-2' })).text()).length).toBe(1_400_000);
    for (const key of ['k-1', 'k-2']) {
      const refused = await alice({ key });
      expect([refused.status, await jsonOf(refused)]).toMatchObject([422, { code: 'answer_not_kept' }]);
    }
    expect(gateway.calls).toHaveLength(2);
  });
});

describe('a request for later', () => {
  const later = (changes: Call = {}) => alice({ ...changes, headers: { prefer: 'respond-async' } });

  test('is taken once, and its id is answered again', async () => {
    const [first, second] = [await later(), await later()];
    expect([first.status, second.status]).toEqual([202, 202]);
    expect(second.headers.get('location')).toBe(first.headers.get('location'));
    expect([replayed(first), replayed(second)]).toEqual([null, 'true']);
    expect(gateway.enqueued).toHaveLength(1);
    expect((await later({ body: '{"a":1}' })).status).toBe(422);
  });

  test('is not taken again when the gateway died before it knew that it was', async () => {
    const first = await later();
    // As if what is known of the key had not been written: it alone is gone.
    const claims = gateway.store.idempotency;
    await using again = await Harness.open({
      events: gateway.store.events,
      aliases: gateway.store.aliases,
      enqueuer: { enqueue: async (request) => (await gateway.store.queue.enqueue([request]))[0]! },
    });
    expect(claims).not.toBe(again.store.idempotency);
    const response = await again.app.request('/e/hello', {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'idempotency-key': 'k-1',
        prefer: 'respond-async',
        ...(await gateway.bearer('alice')),
      },
      body: '{}',
    });
    expect(response.headers.get('location')).toBe(first.headers.get('location'));
  });
});

test('of 50 requests at once, over sockets, one runs', async () => {
  await using server = await listen(gateway.app);
  const headers = { ...(await gateway.bearer('alice')), 'idempotency-key': 'one' };
  const send = () => fetch(`${server.url}/e/hello`, { method: 'POST', headers, body: '{}' });
  const statuses = await Promise.all(Array.from({ length: 50 }, async () => (await send()).status));
  expect(gateway.calls).toHaveLength(1);
  expect(new Set(statuses)).toEqual(new Set([200, ...statuses.filter((status) => status === 409)]));
  expect((await send()).headers.get('idempotent-replayed')).toBe('true');
});

test('a database that is away is told of, and nothing runs', async () => {
  const away = async () => {
    throw new GatewayError('store_unavailable', 'away', { retryAfterSeconds: 1 });
  };
  await using other = await Harness.open({
    events: gateway.store.events,
    idempotency: { claim: away, keep: away, release: away, pruneExpired: away },
  });
  const headers = { 'idempotency-key': 'k' };
  expect((await other.app.request('/e/open', { headers })).status).toBe(503);
  expect(other.calls).toEqual([]);
  expect((await other.app.request('/e/open')).status).toBe(200);
});
