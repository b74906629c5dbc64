import { describe, expect, test } from 'vitest';
import { planRuns } from '../../../src/core/schedules/plan.ts';
import type { CatchUp } from '../../../src/core/schedules/schedule.ts';
import { cronTiming, onceTiming } from '../../../src/core/schedules/timing.ts';

const at = (time: string) => new Date(`2026-01-01T${time}Z`);
const minutely = cronTiming('* * * * *', 'UTC');

function plan(nextAt: string, now: string, catchUp: CatchUp, jitterMs = 0, timing = minutely) {
  const { runs, skipped, next } = planRuns(timing, at(nextAt), at(now), { catchUp, jitterMs });
  const time = (date: Date) => date.toISOString().slice(11, 19);
  return { runs: runs.map(time), skipped, next: next && time(next) };
}

describe('at a due time', () => {
  test.each<CatchUp>(['skip', 'one', 'all'])('it runs, and the next one follows (%s)', (catchUp) => {
    const due = { runs: ['10:00:00'], skipped: 0, next: '10:01:00' };
    expect(plan('10:00:00', '10:00:00', catchUp)).toEqual(due);
    expect(plan('10:00:00', '10:00:09', catchUp)).toEqual(due);
  });

  test('nothing runs before it, as when the clock was put back', () => {
    expect(plan('10:00:00', '09:00:00', 'all')).toEqual({ runs: [], skipped: 0, next: '10:00:00' });
  });

  test('those close behind it run as well', () => {
    const secondly = cronTiming('* * * * * *', 'UTC');
    expect(plan('10:00:00', '10:00:02', 'skip', 0, secondly)).toEqual({
      runs: ['10:00:00', '10:00:01', '10:00:02'],
      skipped: 0,
      next: '10:00:03',
    });
  });
});

describe('when the clock jumped an hour, or nobody was there for one', () => {
  test('nothing of it runs', () => {
    expect(plan('10:00:00', '11:00:30', 'skip')).toEqual({ runs: [], skipped: 61, next: '11:01:00' });
    expect(plan('10:00:00', '11:00:05', 'skip')).toEqual({
      runs: ['11:00:00'],
      skipped: 60,
      next: '11:01:00',
    });
  });

  test('the latest runs', () => {
    const latest = { runs: ['11:00:00'], skipped: 60, next: '11:01:00' };
    for (const now of ['11:00:00', '11:00:30']) expect(plan('10:00:00', now, 'one')).toEqual(latest);
  });

  test('all of it runs', () => {
    const { runs, skipped, next } = plan('10:00:00', '11:00:30', 'all');
    expect([runs.length, runs[0], runs.at(-1), skipped, next]).toEqual([
      61,
      '10:00:00',
      '11:00:00',
      0,
      '11:01:00',
    ]);
  });

  test('all is the latest hundred', () => {
    const { runs, skipped, next } = plan('10:00:00', '15:00:30', 'all');
    expect([runs.length, runs[0], runs.at(-1), next]).toEqual([100, '13:21:00', '15:00:00', '15:01:00']);
    expect(skipped).toBe(100);
  });
});

test('what its jitter delays was not missed, and does not take those behind it along', () => {
  expect(plan('10:00:00', '10:04:00', 'skip', 300_000)).toEqual({
    runs: ['10:00:00'],
    skipped: 0,
    next: '10:01:00',
  });
});

test.each<[CatchUp, string[], number]>([
  ['skip', [], 1],
  ['one', ['10:00:00'], 0],
  ['all', ['10:00:00'], 0],
])('a moment that was missed: %s', (catchUp, runs, skipped) => {
  const once = onceTiming(at('10:00:00'));
  expect(plan('10:00:00', '12:00:00', catchUp, 0, once)).toEqual({ runs, skipped, next: null });
});
