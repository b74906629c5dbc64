import { describe, expect, test } from 'vitest';
import {
  cronTiming,
  isTimeZone,
  momentOf,
  onceTiming,
  TimingError,
} from '../../../src/core/schedules/timing.ts';

const BERLIN = 'Europe/Berlin';

function nextOf(expression: string, after: string, count: number, timeZone = BERLIN): string[] {
  const timing = cronTiming(expression, timeZone);
  const times: string[] = [];
  for (let due = timing.next(new Date(after)); due !== null && times.length < count; due = timing.next(due)) {
    times.push(due.toISOString().replace(':00.000Z', 'Z'));
  }
  return times;
}

describe('a cron expression', () => {
  test('goes by the clock of its time zone', () => {
    const after = '2026-01-15T00:00:00Z';
    expect(nextOf('0 9 * * *', after, 1)).toEqual(['2026-01-15T08:00Z']);
    expect(nextOf('0 9 * * *', after, 1, 'Asia/Kolkata')).toEqual(['2026-01-15T03:30Z']);
    expect(nextOf('@daily', after, 2, 'UTC')).toEqual(['2026-01-16T00:00Z', '2026-01-17T00:00Z']);
    expect(nextOf('30 0 9 * * *', after, 1, 'UTC')).toEqual(['2026-01-15T09:00:30.000Z']);
  });

  test('at a time of day that a gap swallows runs right after it, on that day', () => {
    expect(nextOf('30 2 * * *', '2026-03-27T12:00:00Z', 3)).toEqual([
      '2026-03-28T01:30Z',
      '2026-03-29T01:00Z',
      '2026-03-30T00:30Z',
    ]);
  });

  test('at a time of day that comes twice runs once', () => {
    expect(nextOf('30 2 * * *', '2026-10-24T12:00:00Z', 2)).toEqual([
      '2026-10-25T00:30Z',
      '2026-10-26T01:30Z',
    ]);
  });

  test('that goes through the day skips the gap and runs through both of a double hour', () => {
    expect(nextOf('*/30 * * * *', '2026-03-29T00:15:00Z', 3)).toEqual([
      '2026-03-29T00:30Z',
      '2026-03-29T01:00Z',
      '2026-03-29T01:30Z',
    ]);
    expect(nextOf('*/30 * * * *', '2026-10-25T00:15:00Z', 4)).toEqual([
      '2026-10-25T00:30Z',
      '2026-10-25T01:00Z',
      '2026-10-25T01:30Z',
      '2026-10-25T02:00Z',
    ]);
  });

  test('knows the due times before a moment, the latest first, and without the moment itself', () => {
    const timing = cronTiming('0 * * * *', 'UTC');
    const before = timing.before(new Date('2026-01-01T03:00:00Z'), 2).map((due) => due.getUTCHours());
    expect(before).toEqual([2, 1]);
  });

  test.each([
    ['61 * * * *', /^the minute 61 is not valid; it is one of 0-59/],
    ['60 * * * * *', /^the second 60 /],
    ['* 24 * * *', /^the hour 24 /],
    ['0 0 32 * *', /^the day of month 32 /],
    ['0 0 * 13 *', /^the month 13 /],
    ['0 0 * FOO *', /^the month FOO .* JAN-DEC/],
    ['0 0 * * 8', /^the day of week 8 .* SUN-SAT/],
    ['5-1 * * * *', /^the minute 5-1 /],
    ['*/0 * * * *', /^the minute \*\/0 /],
    ['1,,2 * * * *', /^the minute 1,,2 /],
    ['* * *', /^there are 3 fields; write minute, hour, /],
    ['* * * * * * 2030', /^there are 7 fields/],
    ['', /^there are 0 fields/],
    ['@reboot', /^@reboot is not known; use @yearly, .*@hourly/],
    ['@often', /^@often is not known/],
  ])('%j is refused with its field and the remedy', (expression, message) => {
    expect(() => cronTiming(expression, BERLIN)).toThrow(TimingError);
    expect(() => cronTiming(expression, BERLIN)).toThrow(message);
  });
});

describe('a moment', () => {
  test('has an offset, or is on the clock of the time zone', () => {
    expect(momentOf('2030-01-31T08:00:00Z', BERLIN).toISOString()).toBe('2030-01-31T08:00:00.000Z');
    expect(momentOf('2030-01-31T08:00:00+05:30', BERLIN).toISOString()).toBe('2030-01-31T02:30:00.000Z');
    expect(momentOf('2030-01-31T08:00:00', BERLIN).toISOString()).toBe('2030-01-31T07:00:00.000Z');
  });

  test.each(['tomorrow', '2030-13-01T00:00:00', '2030-02-30T00:00:00', '2030-01-31T25:00:00Z', ''])(
    '%j is refused',
    (text) => expect(() => momentOf(text, BERLIN)).toThrow(TimingError),
  );

  test('is due once', () => {
    const at = new Date('2030-01-31T08:00:00Z');
    const timing = onceTiming(at);
    expect(timing.next(new Date(at.getTime() - 1))).toEqual(at);
    expect(timing.next(at)).toBeNull();
    expect(timing.before(new Date(at.getTime() + 1), 5)).toEqual([at]);
    expect(timing.before(at, 5)).toEqual([]);
  });
});

test('a time zone is one of IANA', () => {
  expect(['Europe/Berlin', 'UTC', 'Asia/Kolkata'].map(isTimeZone)).toEqual([true, true, true]);
  expect(['Europe/Atlantis', '', 'somewhere'].map(isTimeZone)).toEqual([false, false, false]);
});
