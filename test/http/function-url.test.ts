import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ErrorCode, GatewayError } from '../../src/errors.ts';
import { answer, Harness } from './harness.ts';

let gateway: Harness;
beforeEach(async () => {
  gateway = await Harness.open();
  await gateway.deploy();
  await gateway.deploy({ name: 'open', auth: 'public' });
});
afterEach(() => gateway[Symbol.asyncDispose]());

const call = async (path: string, who?: { sub: string; scope?: string }, init: RequestInit = {}) => {
  const token = who && (await gateway.bearer(who.sub, who.scope));
  return gateway.app.request(path, { ...init, headers: { ...token, ...init.headers } });
};
const alice = { sub: 'alice' };

describe('who may call a function', () => {
  test.each<[string, { sub: string; scope: string } | undefined, number, string]>([
    ['nobody without a token', undefined, 401, ''],
    ['its owner with events:invoke', { sub: 'alice', scope: 'events:invoke' }, 200, ''],
    ['its owner with its own scope', { sub: 'alice', scope: 'event:hello:invoke' }, 200, ''],
    ['not its owner without a scope', { sub: 'alice', scope: 'events:read' }, 403, 'events:invoke'],
    ['another with its scope', { sub: 'bob', scope: 'event:hello:invoke' }, 200, ''],
    ['not another with events:invoke', { sub: 'bob', scope: 'events:invoke' }, 403, 'event:hello:invoke'],
    [
      'not another with another’s scope',
      { sub: 'bob', scope: 'event:hell:invoke' },
      403,
      'event:hello:invoke',
    ],
  ])('%s', async (_what, who, status, scope) => {
    const response = await call('/e/hello', who);
    expect(response.status).toBe(status);
    expect(gateway.calls).toHaveLength(status === 200 ? 1 : 0);
    if (scope !== '') expect(response.headers.get('www-authenticate')).toContain(`scope="${scope}"`);
  });

  test('everybody, when it is public, known or not', async () => {
    expect((await call('/e/open')).status).toBe(200);
    expect((await call('/e/open', { sub: 'bob', scope: '' })).status).toBe(200);
    expect(gateway.calls.map((request) => request.caller.userId)).toEqual([null, 'bob']);
  });

  test('nobody, when it is disabled or not there', async () => {
    await gateway.deploy({ name: 'off', enabled: false });
    const off = await call('/e/off', alice);
    expect([off.status, await off.json()]).toMatchObject([403, { code: 'event_disabled' }]);
    for (const path of ['/e/nobody', '/e/No%20Body', '/e/', '/e']) {
      expect((await call(path, alice)).status, path).toBe(404);
    }
  });

  test('with a cold start only by the scope bench', async () => {
    const headers = { 'X-Cronium-Start': 'cold' };
    for (const path of ['/e/hello', '/e/open']) {
      const refused = await call(path, alice, { headers });
      expect(refused.status).toBe(403);
      expect(refused.headers.get('www-authenticate')).toContain('scope="bench"');
    }
    expect((await call('/e/open', undefined, { headers })).status).toBe(403);
    await call('/e/hello', { sub: 'alice', scope: 'events:invoke bench' }, { headers });
    await call('/e/hello', alice);
    expect(gateway.calls.map((request) => request.forceCold)).toEqual([true, false]);
  });
});

describe('what a function is given', () => {
  test('any method, path and body, and nothing of the token', async () => {
    const headers = {
      'content-type': 'text/plain',
      traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
    };
    await call('/e/hello/a%20b?x=1', alice, { method: 'PATCH', headers, body: 'hi' });
    const [request] = gateway.calls;
    expect(request).toMatchObject({
      event: { name: 'hello' },
      caller: { userId: 'alice' },
      traceparent: headers.traceparent,
      payload: {
        rawPath: '/a%20b',
        rawQueryString: 'x=1',
        body: 'hi',
        isBase64Encoded: false,
        requestContext: { http: { method: 'PATCH' }, requestId: request?.id },
      },
    });
    expect(JSON.stringify(request?.payload)).not.toContain('Bearer');
  });

  test('no trace context that is not one', async () => {
    await call('/e/open', undefined, { headers: { traceparent: 'x\t$(id)' } });
    expect(gateway.calls[0]).not.toHaveProperty('traceparent');
  });

  test('when it is public, the authorization that is its own, and never the gateway’s', async () => {
    await call('/e/open', undefined, { headers: { authorization: 'Basic YTpi' } });
    await call('/e/open', undefined, { headers: { authorization: 'Bearer their-own' } });
    await call('/e/open', alice);
    await call('/e/open', undefined, { headers: await gateway.bearer('alice', 'bench', -60) });
    const seen = gateway.calls.map((request) => (request.payload as { headers: object }).headers);
    expect(seen).toEqual([{ authorization: 'Basic YTpi' }, { authorization: 'Bearer their-own' }, {}, {}]);
  });

  test('a body up to the limit and not beyond', async () => {
    const post = (size: number) => call('/e/open', undefined, { method: 'POST', body: 'x'.repeat(size) });
    expect((await post(1_000)).status).toBe(200);
    const refused = await post(1_001);
    expect([refused.status, await refused.json()]).toMatchObject([413, { code: 'body_too_large' }]);
    expect(gateway.calls).toHaveLength(1);
  });
});

describe('what a function answers', () => {
  test('is passed on with the gateway’s own headers', async () => {
    gateway.answer = () =>
      answer({
        statusCode: 201,
        headers: { 'content-type': 'text/csv', 'x-own': 'é' },
        cookies: ['a=1', 'b=2; Path=/'],
      });
    const response = await call('/e/hello', alice);
    expect(response.status).toBe(201);
    expect(await response.text()).toBe('{"ok":true}');
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'text/csv',
      'x-own': 'é',
      'x-cronium-invocation-id': gateway.calls[0]?.id,
      'x-cronium-start': 'warm',
      'x-cronium-isolation': 'bubblewrap',
      'x-cronium-security-level': 'enhanced',
      'server-timing': 'admit;dur=0.01, acquire;dur=0.25, inject;dur=1, exec;dur=12.346',
    });
    expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2; Path=/']);
  });

  test('cannot speak for the gateway or for the connection', async () => {
    const headers = {
      'X-Cronium-Start': 'cold',
      'x-cronium-anything': '1',
      Connection: 'close',
      'Transfer-Encoding': 'chunked',
      'Content-Length': '5',
      'Keep-Alive': 'timeout=1',
    };
    gateway.answer = () => answer({ headers });
    const seen = Object.fromEntries((await call('/e/hello', alice)).headers);
    expect(seen).toMatchObject({ 'x-cronium-start': 'warm', 'content-type': 'application/octet-stream' });
    for (const name of [
      'x-cronium-anything',
      'connection',
      'transfer-encoding',
      'content-length',
      'keep-alive',
    ]) {
      expect(seen).not.toHaveProperty(name);
    }
  });

  test.each([204, 205, 304])(
    'has no body with status %i, even when the function gave one',
    async (statusCode) => {
      gateway.answer = () => answer({ statusCode });
      const response = await call('/e/hello', alice);
      expect([response.status, await response.text()]).toEqual([statusCode, '']);
    },
  );

  test('is streamed as it comes', async () => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    gateway.answer = () => answer({ body: readable });
    const reader = (await call('/e/hello', alice)).body!.getReader();
    for (const text of ['one', 'two']) {
      void writer.write(Buffer.from(text));
      expect(Buffer.from((await reader.read()).value!).toString()).toBe(text);
    }
    void writer.close();
    expect((await reader.read()).done).toBe(true);
  });
});

describe('how a call fails', () => {
  const fail = (code: ErrorCode, retryAfterSeconds?: number) => {
    gateway.answer = (request) => {
      throw new GatewayError(code, 'ValueError: the password is hunter2', {
        invocationId: request.id,
        ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
      });
    };
  };

  test.each<ErrorCode>(['function_error', 'out_of_memory', 'invalid_response', 'response_too_large'])(
    'with %s: the owner reads why, others only where',
    async (code) => {
      fail(code);
      const own = await call('/e/open', alice);
      const id = gateway.calls[0]?.id;
      expect(own.status).toBe(502);
      expect(own.headers.get('x-cronium-invocation-id')).toBe(id);
      const message = 'ValueError: the password is hunter2';
      expect(await own.json()).toMatchObject({ code, error: { code, message, invocationId: id } });
      for (const who of [undefined, { sub: 'bob' }]) {
        const text = await (await call('/e/open', who)).text();
        expect(text).not.toContain('hunter2');
        expect(JSON.parse(text)).toMatchObject({ error: { code, invocationId: gateway.calls.at(-1)?.id } });
      }
    },
  );

  test.each<[ErrorCode, number]>([
    ['too_many_requests', 429],
    ['no_capacity', 503],
    ['engine_unavailable', 503],
    ['function_timeout', 504],
  ])('with %s: everybody reads why, and when to come again', async (code, status) => {
    fail(code, 1.5);
    const response = await call('/e/open');
    expect(response.status).toBe(status);
    expect(response.headers.get('retry-after')).toBe('2');
    expect(await response.json()).toMatchObject({ code, detail: expect.stringContaining('hunter2') });
  });

  test('unexpectedly: nobody reads why', async () => {
    gateway.answer = () => {
      throw new Error('hunter2');
    };
    const response = await call('/e/hello', alice);
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('hunter2');
    expect(gateway.logged).toHaveLength(1);
  });
});
