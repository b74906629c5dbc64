import { describe, expect, test } from 'vitest';
import { FunctionVariables, type VariablesDeps } from '../../src/core/function-variables.ts';
import type { VariableRequest } from '../../src/core/variables.ts';
import { GatewayError } from '../../src/errors.ts';
import { FakeClock, settle } from './fakes.ts';
import { FakeVariables } from './variables-fake.ts';

function open({ isReplay = false, over = {} }: { isReplay?: boolean; over?: Partial<VariablesDeps> } = {}) {
  const store = new FakeVariables();
  const clock = new FakeClock();
  const errors: unknown[] = [];
  const quota = { maxCount: 10, maxBytes: 100 };
  const deps = { store, quota, timeoutMs: 5_000, onError: (error: unknown) => errors.push(error), ...over };
  const variables = new FunctionVariables(deps, { ownerId: 'alice', isReplay }, clock);
  const ask = (request: VariableRequest) => variables.answer(request);
  return {
    store,
    clock,
    errors,
    ask,
    get: (name: string) => ask({ method: 'variable.get', name }),
    set: (name: string, value: string, revision?: string | null) =>
      ask({ method: 'variable.set', name, value, revision }),
    increment: (name: string, by: number) => ask({ method: 'variable.increment', name, by }),
    remove: (name: string) => ask({ method: 'variable.delete', name }),
  };
}

const refused = (code: string) => ({ ok: false, error: { code, message: expect.any(String) } });

describe('the variables of a function', () => {
  test('are read, written, counted up and removed', async () => {
    const { get, set, increment, remove } = open();
    expect(await get('x')).toEqual({ ok: true });
    expect(await set('x', ' {"a": 1.50} ')).toEqual({ ok: true, revision: 'r1' });
    expect(await get('x')).toEqual({ ok: true, value: ' {"a": 1.50} ', revision: 'r1' });
    expect(await increment('n', 2)).toMatchObject({ ok: true, value: '2' });
    expect(await increment('n', -0.5)).toMatchObject({ ok: true, value: '1.5' });
    expect(await remove('n')).toEqual({ ok: true, existed: true });
    expect(await remove('n')).toEqual({ ok: true, existed: false });
  });

  test('are set by revision only while they have it', async () => {
    const { get, set } = open();
    expect(await set('x', '1', null)).toMatchObject({ ok: true, revision: 'r1' });
    expect(await set('x', '2', null)).toEqual(refused('conflict'));
    expect(await set('x', '2', 'r0')).toEqual(refused('conflict'));
    expect(await set('x', '2', 'r1')).toMatchObject({ ok: true });
    expect(await get('x')).toMatchObject({ value: '2' });
  });

  test.for(['', '1a', 'a b', 'é', 'a/b', 'a\n', '__proto__\0', `a${'b'.repeat(128)}`])(
    'have no name such as %j',
    async (name) => {
      const { get, set, increment, remove, store } = open();
      for (const answer of [get(name), set(name, '1'), increment(name, 1), remove(name)])
        expect(await answer).toEqual(refused('invalid_name'));
      expect([store.reads, store.writes]).toEqual([0, 0]);
    },
  );

  test.for<[string, string, string]>([
    ['no JSON', 'invalid_value', '{'],
    ['nothing', 'invalid_value', ''],
    ['half a character', 'invalid_value', '"\ud800"'],
    ['more than 64 KiB of ASCII', 'value_too_large', `"${'x'.repeat(65_535)}"`],
    ['more than 64 KiB of UTF-8', 'value_too_large', `"${'é'.repeat(32_768)}"`],
  ])('have no value that is %s', async ([, code, value]) => {
    expect(await open().set('x', value)).toEqual(refused(code));
  });

  test('may be as large as 64 KiB', async () => {
    expect(await open().set('x', `"${'x'.repeat(65_534)}"`)).toMatchObject({ ok: true });
  });

  test('are counted up only where they are numbers, and exactly', async () => {
    const { set, increment, get } = open();
    await set('text', '"1"');
    await set('big', String(Number.MAX_SAFE_INTEGER));
    await set('huge', '1e308');
    expect(await increment('text', 1)).toEqual(refused('not_a_number'));
    expect(await increment('big', 1)).toEqual(refused('not_a_number'));
    expect(await increment('huge', 1e308)).toEqual(refused('not_a_number'));
    expect(await get('big')).toMatchObject({ value: '9007199254740991' });
  });

  test('answer that they are unavailable when the store is slow, and leave no timer', async () => {
    const { store, clock, get } = open();
    store.hold = new Promise(() => {});
    const answer = get('x');
    await settle();
    await clock.advance(5_000);
    expect(await answer).toEqual(refused('unavailable'));
    store.hold = undefined;
    await get('x');
    expect(clock.pendingTimers).toBe(0);
  });

  test('tell what the store says, but not what only its owner may know', async () => {
    const failing = (error: unknown) => {
      const opened = open();
      opened.store.get = () => Promise.reject(error);
      opened.store.change = () => Promise.reject(error);
      return opened;
    };
    const away = failing(new GatewayError('store_unavailable', 'The database cannot serve this now'));
    expect(await away.get('x')).toEqual(refused('unavailable'));
    const full = failing(new GatewayError('variable_quota_exceeded', 'too many'));
    expect(await full.set('x', '1')).toEqual(refused('quota_exceeded'));
    const broken = failing(new Error('the password is hunter2'));
    expect(JSON.stringify(await broken.get('x'))).not.toContain('hunter2');
    expect([away.errors.length, full.errors.length, broken.errors.length]).toEqual([0, 0, 1]);
  });
});

describe('the variables of a replay', () => {
  test('are those there are, under what the replay wrote, and stay as they were', async () => {
    const { store, get, set, increment, remove } = open({ isReplay: true });
    await store.change('alice', 'n', () => '41');
    await store.change('alice', 'gone', () => '1');
    const before = structuredClone(store.kept);
    expect(await get('n')).toMatchObject({ value: '41' });
    expect(await increment('n', 1)).toMatchObject({ value: '42' });
    expect(await get('n')).toMatchObject({ value: '42' });
    expect(await remove('gone')).toEqual({ ok: true, existed: true });
    expect(await get('gone')).toEqual({ ok: true });
    const { revision } = (await set('new', '1', null)) as { revision: string };
    expect(await set('new', '2', revision)).toMatchObject({ ok: true });
    expect(await set('new', '3', revision)).toEqual(refused('conflict'));
    expect(store.kept).toEqual(before);
    // What others write meanwhile is seen.
    await store.change('alice', 'other', () => '7');
    expect(await get('other')).toMatchObject({ value: '7' });
  });

  test('take no more memory than a user may keep', async () => {
    const { set, get } = open({ isReplay: true });
    expect(await set('a', `"${'x'.repeat(80)}"`)).toMatchObject({ ok: true });
    expect(await set('b', `"${'x'.repeat(80)}"`)).toEqual(refused('quota_exceeded'));
    expect(await get('a')).toMatchObject({ ok: true, value: expect.stringContaining('xxx') });
    expect(await set('a', `"${'x'.repeat(101)}"`)).toEqual(refused('quota_exceeded'));
    expect(await get('a')).toMatchObject({ value: expect.stringContaining('xxx') });
    expect(await set('a', '1')).toMatchObject({ ok: true });
  });
});
