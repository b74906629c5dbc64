import { expect, test } from 'vitest';
import { changeOf, refusalOf } from '../../src/audit/requests.ts';
import type { AnsweredRequest } from '../../src/http/context.ts';

function request(over: Partial<AnsweredRequest>): AnsweredRequest {
  return {
    requestId: 'r-1',
    method: 'GET',
    route: '/v1/events',
    path: '/v1/events',
    status: 200,
    durationMs: 1,
    remoteAddress: '192.0.2.1',
    userId: 'alice',
    invocationId: undefined,
    event: undefined,
    version: undefined,
    minIsolation: undefined,
    start: undefined,
    isolation: undefined,
    code: undefined,
    ...over,
  };
}

test.each([
  [{ method: 'POST', route: '/v1/events', status: 201, event: 'x', version: 1 }, 'event.deploy', 'x'],
  [{ method: 'DELETE', route: '/v1/events/:name', path: '/v1/events/x', status: 204 }, 'event.delete', 'x'],
  [{ method: 'PUT', route: '/v1/things/:id', path: '/v1/things/7' }, 'PUT /v1/things/:id', '/v1/things/7'],
])('%j is a change', (over, action, subject) => {
  const actor = { actor: 'alice', outcome: 'ok', requestId: 'r-1', sourceIp: '192.0.2.1' };
  expect(changeOf(request(over))).toMatchObject({ action, subject, ...actor });
  expect(refusalOf(request(over))).toBeUndefined();
});

test('a change says what the event demands of its isolation from then on', () => {
  const change = { method: 'PUT', route: '/v1/events/:name', path: '/v1/events/x', status: 200, version: 2 };
  expect(changeOf(request({ ...change, minIsolation: 'enhanced' }))?.detail).toEqual({
    version: 2,
    minIsolation: 'enhanced',
  });
});

test.each([
  [{ method: 'GET', route: '/v1/events/:name', path: '/v1/events/x' }],
  [{ method: 'POST', route: '/v1/events', status: 422, code: 'validation_failed' }],
  [{ method: 'POST', route: '/e/:event', path: '/e/x', invocationId: 'i', start: 'warm' }],
  [{ status: 404, route: 'unmatched', path: '/wp-login.php', code: 'not_found' }],
])('%j is neither a change nor a refusal', (over) => {
  expect([changeOf(request(over)), refusalOf(request(over))]).toEqual([undefined, undefined]);
});

test.each([
  ['unauthorized', 401],
  ['invalid_token', 401],
  ['invalid_signature', 401],
  ['insufficient_scope', 403],
  ['event_disabled', 403],
  ['too_many_requests', 429],
  ['isolation_unavailable', 503],
] as const)('%s is a refusal', (code, status) => {
  const call = request({ method: 'POST', route: '/e/:event/*', path: '/e/x/y', event: 'x', code, status });
  const record = { action: 'event.invoke', subject: 'x', outcome: 'refused', code, status };
  expect(refusalOf(call)).toMatchObject(record);
  // Told of by the invoker, which knows how it ended.
  expect(refusalOf({ ...call, invocationId: 'i-1' })).toBeUndefined();
  const change = request({ method: 'PATCH', route: '/v1/events/:name', path: '/v1/events/x', code, status });
  expect(refusalOf(change)).toMatchObject({ action: 'event.change', subject: 'x', outcome: 'refused' });
  expect(changeOf(change)).toBeUndefined();
});

test('a call that was not let so far as to have a record is a refusal, too', () => {
  const over = { route: '/e/:event', path: '/e/x', event: 'x', status: 503, invocationId: 'i-1' };
  expect(refusalOf(request({ ...over, code: 'audit_unavailable' }))).toMatchObject({ invocationId: 'i-1' });
});

test('a call that is taken for later is told of when it is taken', () => {
  const over = { method: 'POST', route: '/e/:event', path: '/e/x', event: 'x', status: 202 };
  const taken = refusalOf(request({ ...over, invocationId: 'i-1' }));
  expect(taken).toMatchObject({ action: 'event.enqueue', outcome: 'ok', subject: 'x', invocationId: 'i-1' });
  expect(refusalOf(request({ ...over, status: 200, invocationId: 'i-1' }))).toEqual({
    ...taken,
    status: 200,
  });
  // A function may answer with any status.
  expect(refusalOf(request({ ...over, invocationId: 'i-1', start: 'warm' }))).toBeUndefined();
});
