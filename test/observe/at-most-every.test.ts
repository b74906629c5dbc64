import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { atMostEvery } from '../../src/observe/at-most-every.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

test('an answer is given again until it is too old', async () => {
  let asked = 0;
  const ask = atMostEvery(5_000, async () => ++asked);
  expect(await ask()).toBe(1);
  vi.advanceTimersByTime(4_999);
  expect(await ask()).toBe(1);
  vi.advanceTimersByTime(1);
  expect(await ask()).toBe(2);
});

test('a failure is shared while it is under way, and not kept: the next one asks anew', async () => {
  let isAway = true;
  let asked = 0;
  const ask = atMostEvery(5_000, async () => {
    asked += 1;
    if (isAway) throw new Error('away');
    return asked;
  });
  const both = await Promise.allSettled([ask(), ask()]);
  expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(asked).toBe(1);
  isAway = false;
  expect(await ask()).toBe(2);
  expect(await ask()).toBe(2);
});
