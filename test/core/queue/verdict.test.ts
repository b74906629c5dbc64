import { describe, expect, test } from 'vitest';
import { asyncOf } from '../../../src/core/queue/settings.ts';
import { shareOut } from '../../../src/core/queue/share-out.ts';
import { verdictOn } from '../../../src/core/queue/verdict.ts';

const settings = asyncOf({ async: { attempts: 3, backoffMs: 100, maxBackoffMs: 350, maxAgeMs: 60_000 } });
const failure = (code: string) => ({ code, message: 'boom' });
const verdictAfter = (failures: number, code: string, ageMs = 0) =>
  verdictOn({ attempt: failures + 1, failures, ageMs }, failure(code), settings, () => 1);

describe('what comes of an attempt', () => {
  test('that succeeded is the end', () => {
    const verdict = verdictOn({ attempt: 3, failures: 2, ageMs: 9e9 }, null, settings, () => 1);
    expect(verdict).toEqual({ kind: 'succeeded' });
  });

  test.each(['function_error', 'out_of_memory', 'invalid_response', 'function_timeout'])(
    'that failed with %s is another, until there is none left',
    (code) => {
      expect(verdictAfter(0, code)).toEqual({ kind: 'retry', failed: true, delayMs: 100 });
      expect(verdictAfter(1, code)).toEqual({ kind: 'retry', failed: true, delayMs: 200 });
      expect(verdictAfter(2, code)).toEqual({ kind: 'dead', failed: true });
    },
  );

  test('is due at any time up to the bound, which stops growing', () => {
    const many = asyncOf({ async: { ...settings, attempts: 100 } });
    const bounds = [0, 1, 2, 3].map((failures) =>
      verdictOn({ attempt: failures + 1, failures, ageMs: 0 }, failure('function_error'), many, () => 0.5),
    );
    expect(bounds.map((verdict) => verdict.kind === 'retry' && verdict.delayMs)).toEqual([50, 100, 175, 175]);
  });

  test('that the gateway could not make does not count, and is given up only when it is too old', () => {
    for (const code of ['no_capacity', 'engine_unavailable', 'too_many_requests', 'event_disabled']) {
      const verdict = verdictOn({ attempt: 50, failures: 2, ageMs: 0 }, failure(code), settings, () => 0.5);
      expect(verdict).toEqual({ kind: 'retry', failed: false, delayMs: 15_000 });
      expect(verdictAfter(0, code, 60_000)).toMatchObject({
        kind: 'dead',
        failed: false,
        reason: 'older than 60000 ms',
      });
    }
  });

  test('that is too old is not another', () => {
    expect(verdictAfter(0, 'function_error', 59_950)).toMatchObject({ kind: 'dead', failed: true });
  });

  test('whose answer is too large is the end at once', () => {
    expect(verdictAfter(0, 'response_too_large')).toEqual({ kind: 'dead', failed: true });
  });
});

describe('claims are shared out', () => {
  const lane = (name: string, room: number) => ({ lane: name, room });

  test('one to each owner before anybody has a second', () => {
    const turns = [
      { owner: 'a', lanes: [lane('a1', 9)] },
      { owner: 'b', lanes: [lane('b1', 1)] },
      { owner: 'c', lanes: [lane('c1', 9)] },
    ];
    expect(shareOut(2, turns)).toEqual(
      new Map([
        ['a1', 1],
        ['b1', 1],
      ]),
    );
    expect(shareOut(5, turns)).toEqual(
      new Map([
        ['a1', 2],
        ['b1', 1],
        ['c1', 2],
      ]),
    );
  });

  test('to the lanes of an owner in turn, and no more than there is', () => {
    const turns = [{ owner: 'a', lanes: [lane('a1', 9), lane('a2', 0), lane('a3', 1)] }];
    expect(shareOut(3, turns)).toEqual(
      new Map([
        ['a1', 2],
        ['a3', 1],
      ]),
    );
    expect(shareOut(99, turns)).toEqual(
      new Map([
        ['a1', 9],
        ['a3', 1],
      ]),
    );
  });
});
