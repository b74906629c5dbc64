import { v7 as uuidv7 } from 'uuid';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SCOPES } from '../../src/http/scopes.ts';
import { invocation } from '../contract/store.ts';
import { Harness, jsonOf } from './harness.ts';

let gateway: Harness;
beforeEach(async () => {
  gateway = await Harness.open();
});
afterEach(() => gateway[Symbol.asyncDispose]());

describe('what a token must allow', () => {
  test.each([
    ['GET', '/v1/events', 'events:read'],
    ['GET', '/v1/events/x', 'events:read'],
    ['GET', '/v1/events/x/invocations', 'events:read'],
    ['GET', `/v1/invocations/${uuidv7()}`, 'events:read'],
    ['GET', '/v1/pools', 'events:read'],
    ['POST', '/v1/events', 'events:write'],
    ['PUT', '/v1/events/x', 'events:write'],
    ['PATCH', '/v1/events/x', 'events:write'],
    ['DELETE', '/v1/events/x', 'events:write'],
    ['POST', '/v1/events/x/rollback', 'events:write'],
    ['GET', '/v1/variables', 'variables:read'],
    ['GET', '/v1/variables/x', 'variables:read'],
    ['PUT', '/v1/variables/x', 'variables:write'],
    ['DELETE', '/v1/variables/x', 'variables:write'],
    ['GET', '/v1/events/x/versions', 'events:read'],
    ['GET', '/v1/events/x/versions/1', 'events:read'],
  ])('%s %s needs %s', async (method, path, scope) => {
    const missing = await gateway.app.request(path, { method });
    expect(missing.status).toBe(401);
    expect(missing.headers.get('www-authenticate')).toBe('Bearer realm="cronium"');
    expect(await missing.json()).toMatchObject({ code: 'unauthorized' });

    const others = SCOPES.filter((name) => name !== scope);
    const headers = await gateway.bearer('alice', others.join(' '));
    const refused = await gateway.app.request(path, { method, headers });
    expect(refused.status).toBe(403);
    expect(refused.headers.get('www-authenticate')).toBe(
      `Bearer realm="cronium", error="insufficient_scope", error_description="The token does not have the scope ${scope}", scope="${scope}"`,
    );
  });

  test('a bad token is told to be one, and why', async () => {
    const headers = { authorization: 'Bearer rubbish' };
    const response = await gateway.app.request('/v1/events', { headers });
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toBe(
      'Bearer realm="cronium", error="invalid_token", error_description="The token is not a signed JWT"',
    );
    expect(await response.json()).toMatchObject({ code: 'invalid_token' });
  });
});

describe('invocations', () => {
  test('are told to the owner of the event, whoever called it', async () => {
    const record = invocation({
      callerId: 'bob',
      error: { code: 'function_error', message: 'boom', trace: 't' },
    });
    await gateway.store.invocations.save([record]);
    const response = await gateway.send('GET', `/v1/invocations/${record.id}`);
    expect(await response.json()).toEqual({
      id: record.id,
      event: 'hello',
      version: 1,
      status: 'succeeded',
      start: 'warm',
      isolation: 'bubblewrap',
      securityLevel: 'enhanced',
      phases: record.phases,
      statusCode: 200,
      exit: { code: 0, signal: null },
      error: record.error,
      logs: 'one\ntwo\n',
      logsTruncated: false,
      createdAt: '2026-01-02T03:04:05.678Z',
      endedAt: '2026-01-02T03:04:06.789Z',
      trigger: 'http',
      attempt: 1,
      failures: 0,
      replayOf: null,
    });
    const other = await gateway.send('GET', `/v1/invocations/${record.id}`, undefined, 'bob');
    expect(other.status).toBe(404);
  });

  test('come in pages, newest first', async () => {
    await gateway.deploy();
    const records = Array.from({ length: 5 }, () => invocation());
    await gateway.store.invocations.save(records);
    const path = '/v1/events/hello/invocations';
    type Page = { items: { id: string }[]; nextCursor: string | null };
    const first = await jsonOf<Page>(await gateway.send('GET', `${path}?limit=3`));
    const next = `${path}?limit=3&cursor=${first.nextCursor}`;
    const rest = await jsonOf<Page>(await gateway.send('GET', next));
    const ids = [...first.items, ...rest.items].map((item) => item.id);
    expect(ids).toEqual(records.map((record) => record.id).reverse());
    expect(rest.nextCursor).toBeNull();
  });

  test('of an event that was never called are none, and of nobody’s event are not found', async () => {
    await gateway.deploy();
    const path = '/v1/events/hello/invocations';
    expect(await (await gateway.send('GET', path)).json()).toEqual({ items: [], nextCursor: null });
    expect((await gateway.send('GET', path, undefined, 'bob')).status).toBe(404);
    expect((await gateway.send('GET', '/v1/events/nobody/invocations')).status).toBe(404);
  });

  test.each(['limit=0', 'limit=101', 'limit=x', 'cursor=1%27'])('refuse the page %s', async (query) => {
    await gateway.deploy();
    const response = await gateway.send('GET', `/v1/events/hello/invocations?${query}`);
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({ errors: [{ path: query.split('=')[0] }] });
  });
});

describe('what there is and what there is not', () => {
  test('a path that does not exist is a problem too', async () => {
    const response = await gateway.app.request('/nowhere');
    expect(response.status).toBe(404);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    expect(await response.json()).toMatchObject({ title: 'Not Found', status: 404, code: 'not_found' });
  });

  test.each([
    ['PATCH', '/v1/events', 'GET, HEAD, POST'],
    ['POST', '/v1/events/x', 'DELETE, GET, HEAD, PATCH, PUT'],
    ['GET', '/2015-03-31/functions/x/invocations', 'POST'],
    ['PUT', '/v1/events/x/rollback', 'POST'],
    ['DELETE', '/healthz', 'GET, HEAD'],
    ['POST', '/openapi.json', 'GET, HEAD'],
    ['PUT', '/v1/events/x/invocations', 'GET, HEAD'],
  ])('%s %s is not allowed, and the answer says what is', async (method, path, allow) => {
    const response = await gateway.app.request(path, { method });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe(allow);
    expect(await response.json()).toMatchObject({ code: 'method_not_allowed' });
  });

  test('an unexpected error tells its caller nothing and the log everything', async () => {
    const failure = new Error('SQLITE_CORRUPT at /secret/path');
    const pools = () => {
      throw failure;
    };
    await using broken = await Harness.open({ pools });
    const response = await broken.send('GET', '/v1/pools');
    expect(response.status).toBe(500);
    const text = await response.text();
    expect(JSON.parse(text)).toMatchObject({ code: 'internal_error' });
    expect(text).not.toContain('SQLITE');
    expect(broken.logged).toMatchObject([{ fields: { error: failure, path: '/v1/pools' } }]);
  });

  test('health needs no token; readiness says what is missing', async () => {
    expect(await (await gateway.app.request('/healthz')).json()).toEqual({ status: 'ok' });
    expect((await gateway.app.request('/readyz')).status).toBe(200);
    await using starting = await Harness.open({
      ready: async () => ({ ok: false, reasons: ['no warm sandbox for python yet'] }),
    });
    const response = await starting.app.request('/readyz');
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('1');
    expect(await response.json()).toMatchObject({ reasons: ['no warm sandbox for python yet'] });
  });

  test('the pools are shown', async () => {
    const pool = {
      key: 'python/512mb/0.5cpu',
      runtime: 'python' as const,
      isolation: 'bubblewrap',
      securityLevel: 'basic' as const,
      min: 1,
      target: 3,
      max: 20,
      starting: 0,
      ready: 3,
      taken: 0,
      waiting: 0,
      warmStarts: 7,
      coldStarts: 0,
      bootFailures: 0,
      lastError: null,
    };
    const check = { id: 'network', what: 'no network', holds: true, promised: true, seen: 'ENETUNREACH' };
    const selfTest = { status: 'passed' as const, checks: [check], trouble: null };
    const at = new Date('2026-01-02T03:04:05Z');
    await using other = await Harness.open({ pools: () => [{ ...pool, selfTest: { ...selfTest, at } }] });
    expect(await (await other.send('GET', '/v1/pools')).json()).toEqual({
      items: [{ ...pool, selfTest: { ...selfTest, at: '2026-01-02T03:04:05.000Z' } }],
    });
  });
});
