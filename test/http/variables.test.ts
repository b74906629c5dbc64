import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Harness, jsonOf } from './harness.ts';

let gateway: Harness;
beforeEach(async () => {
  gateway = await Harness.open();
});
afterEach(() => gateway[Symbol.asyncDispose]());

async function put(name: string, body: string, headers: Record<string, string> = {}, sub = 'alice') {
  return gateway.app.request(`/v1/variables/${name}`, {
    method: 'PUT',
    headers: { ...(await gateway.bearer(sub)), 'content-type': 'application/json', ...headers },
    body,
  });
}

async function remove(name: string, headers: Record<string, string> = {}) {
  return gateway.app.request(`/v1/variables/${name}`, {
    method: 'DELETE',
    headers: { ...(await gateway.bearer('alice')), ...headers },
  });
}

const get = (name: string, sub = 'alice') => gateway.send('GET', `/v1/variables/${name}`, undefined, sub);

describe('variables over HTTP', () => {
  test('are made, read as they were written, set again, listed and removed', async () => {
    const json = '{ "n": 12345678901234567890.10 }';
    const made = await put('a.b', json);
    expect([made.status, made.headers.get('location')]).toEqual([201, '/v1/variables/a.b']);
    const read = await get('a.b');
    expect(read.headers.get('content-type')).toBe('application/json');
    expect(read.headers.get('etag')).toBe(made.headers.get('etag'));
    expect(await read.text()).toBe(json);
    const set = await put('a.b', 'null');
    expect(set.status).toBe(204);
    expect(set.headers.get('etag')).not.toBe(made.headers.get('etag'));
    const page = await jsonOf<{ items: object[] }>(await gateway.send('GET', '/v1/variables'));
    expect(page).toEqual({
      items: [
        { name: 'a.b', bytes: 4, etag: set.headers.get('etag'), updatedAt: expect.stringMatching(/Z$/) },
      ],
      nextCursor: null,
    });
    expect((await remove('a.b')).status).toBe(204);
    expect([(await get('a.b')).status, (await remove('a.b')).status]).toEqual([404, 404]);
  });

  test('of others are not to be seen, and names are no secret of theirs', async () => {
    await put('token', '"of alice"');
    expect((await get('token', 'bob')).status).toBe(404);
    expect(await (await gateway.send('GET', '/v1/variables', undefined, 'bob')).json()).toMatchObject({
      items: [],
    });
    expect((await put('token', '"of bob"', { 'if-none-match': '*' }, 'bob')).status).toBe(201);
    expect(await (await get('token')).text()).toBe('"of alice"');
  });

  test('are changed on condition that they are as they were seen', async () => {
    const changed = { status: 412, code: 'precondition_failed' };
    expect(await (await put('x', '1', { 'if-match': '*' })).json()).toMatchObject(changed);
    const etag = (await put('x', '1', { 'if-none-match': '*' })).headers.get('etag')!;
    expect(await (await put('x', '2', { 'if-none-match': '*' })).json()).toMatchObject(changed);
    expect((await put('x', '2', { 'if-match': `"other", ${etag}` })).status).toBe(204);
    expect(await (await put('x', '3', { 'if-match': etag })).json()).toMatchObject(changed);
    expect(await (await remove('x', { 'if-match': etag })).json()).toMatchObject(changed);
    expect(await (await get('x')).text()).toBe('2');
  });

  test.for<[string, string, string, number, string]>([
    ['a name that is none', '1a', '1', 422, 'validation_failed'],
    ['no JSON', 'x', '{', 400, 'invalid_json'],
    ['no body', 'x', '', 400, 'invalid_json'],
    ['a value that is too large', 'x', `"${'x'.repeat(65_536)}"`, 413, 'body_too_large'],
    ['more than the quota', 'x', '1', 409, 'variable_quota_exceeded'],
  ])('are refused with %s', async ([, name, body, status, code]) => {
    for (let index = 0; index < 5; index++) await put(`v${index}`, '1');
    const response = await put(name, body);
    expect(await response.json()).toMatchObject({ status, code });
    expect((await get('x')).status).toBe(404);
  });
});
