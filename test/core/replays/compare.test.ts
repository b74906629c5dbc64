import { describe, expect, test } from 'vitest';
import { compareSides, type Side } from '../../../src/core/replays/compare.ts';
import { diffJson } from '../../../src/core/replays/json-diff.ts';
import { summaryOf } from '../../../src/core/replays/summary.ts';

function side(
  id: string,
  body: string,
  over: { statusCode?: number; exec?: number; binary?: boolean } = {},
): Side {
  const { statusCode = 200, exec = 10, binary = false } = over;
  return {
    invocation: { id: `invocation-${id}`, status: 'succeeded', error: null, phases: { exec } },
    result: { statusCode, headers: {}, cookies: [], body, isBase64Encoded: binary },
  };
}

function failed(id: string, status: 'failed' | 'dead' | 'timed_out', code: string): Side {
  return {
    invocation: { id, status, error: { code, message: 'boom' }, phases: { exec: 4 } },
    result: undefined,
  };
}

describe('two answers', () => {
  test('are the same with other white space and another order of members', () => {
    const compared = compareSides(
      side('a', '{"x":1,"y":[2]}'),
      side('b', '{ "y": [2], "x": 1 }', { exec: 15 }),
    );
    expect(compared).toEqual({
      verdict: 'same',
      durationMs: { before: 10, after: 15 },
      durationRatio: 1.5,
    });
  });

  test('differ at paths', () => {
    const before = { name: 'a/b', list: [1, 2, 3], gone: null, same: { deep: true } };
    const after = { name: 'a~b', list: [1, 5], extra: 'new', same: { deep: true } };
    const { verdict, body } = compareSides(
      side('a', JSON.stringify(before)),
      side('b', JSON.stringify(after)),
    );
    expect(verdict).toBe('different');
    expect(body).toEqual({
      kind: 'json',
      truncated: false,
      paths: [
        { path: '/name', before: '"a/b"', after: '"a~b"' },
        { path: '/list/1', before: '2', after: '5' },
        { path: '/list/2', before: '3' },
        { path: '/gone', before: 'null' },
        { path: '/extra', after: '"new"' },
      ],
    });
  });

  test('differ in text from a character on', () => {
    expect(compareSides(side('a', 'hello world'), side('b', 'hello there')).body).toEqual({
      kind: 'text',
      at: 6,
      before: 'world',
      after: 'there',
    });
    expect(compareSides(side('a', 'same'), side('b', 'same!')).body).toMatchObject({
      at: 4,
      before: '',
      after: '!',
    });
  });

  test('differ in bytes, told by their size', () => {
    const bytes = (text: string) => Buffer.from(text).toString('base64');
    const [a, b] = [side('a', bytes('abc'), { binary: true }), side('b', bytes('abcd'), { binary: true })];
    expect(compareSides(a, b).body).toEqual({ kind: 'binary', before: 3, after: 4 });
    expect(compareSides(a, a).verdict).toBe('same');
  });

  test('differ in their status', () => {
    expect(compareSides(side('a', '1'), side('b', '1', { statusCode: 404 }))).toMatchObject({
      verdict: 'different',
      statusCode: { before: 200, after: 404 },
    });
    expect(compareSides(side('a', '1'), failed('b', 'dead', 'function_error'))).toMatchObject({
      verdict: 'different',
      status: { before: 'succeeded', after: 'function_error' },
    });
  });

  test('are the same when both failed for one reason, and not for two', () => {
    const once = failed('a', 'failed', 'function_error');
    expect(compareSides(once, failed('b', 'dead', 'function_error')).verdict).toBe('same');
    expect(compareSides(once, failed('b', 'timed_out', 'function_timeout'))).toMatchObject({
      status: { before: 'function_error', after: 'function_timeout' },
    });
  });

  test('may say their own id, and differ where they are expected to', () => {
    expect(compareSides(side('1', '{"id":"invocation-1"}'), side('2', '{"id":"invocation-2"}')).verdict).toBe(
      'same',
    );
    const [a, b] = [side('a', '{"at":1,"x":{"y":1}}'), side('b', '{"at":2,"x":{"y":2}}')];
    expect(compareSides(a, b, ['/at', '/x']).verdict).toBe('same');
    expect(compareSides(a, b, ['/at']).body).toMatchObject({ paths: [{ path: '/x/y' }] });
  });

  test('of which one was not kept are not known', () => {
    const lost = { ...side('a', '1'), result: undefined };
    expect(compareSides(lost, side('b', '1')).verdict).toBe('unknown');
  });
});

test('a diff is bounded in paths, in their length and in depth', () => {
  const many = (offset: number) => Array.from({ length: 100 }, (_, index) => index + offset);
  const diff = diffJson(many(0), many(1));
  expect([diff.paths.length, diff.truncated]).toEqual([20, true]);
  const long = diffJson('x'.repeat(10_000), 'y'.repeat(10_000)).paths[0]!;
  expect(long.before!.length).toBeLessThan(300);
  const deep = (leaf: number) => JSON.parse(`${'['.repeat(5_000)}${leaf}${']'.repeat(5_000)}`);
  expect(diffJson(deep(1), deep(2)).paths).toHaveLength(1);
});

test('a summary counts, and has medians', () => {
  const same = compareSides(side('a', '1', { exec: 10 }), side('b', '1', { exec: 30 }));
  const body = compareSides(side('a', '1', { exec: 20 }), side('b', '2', { exec: 40 }));
  const status = compareSides(side('a', '1', { exec: 60 }), failed('b', 'dead', 'function_error'));
  const lost = compareSides({ ...side('a', '1'), result: undefined }, side('b', '1'));
  expect(summaryOf([same, body, status, lost, null])).toEqual({
    total: 5,
    pending: 1,
    same: 1,
    different: 2,
    unknown: 1,
    status: 1,
    statusCode: 0,
    body: 1,
    durationMs: { before: 15, after: 20 },
    durationRatio: 20 / 15,
  });
  expect(summaryOf([])).toMatchObject({ total: 0, durationMs: { before: null, after: null } });
});
