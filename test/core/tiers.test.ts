import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../src/config.ts';
import { Admission } from '../../src/core/admission.ts';
import { BootBudget } from '../../src/core/boot-budget.ts';
import { overTier, tierOf, WIDEST_TIER } from '../../src/core/tiers.ts';
import { FakeClock, never, settle } from './fakes.ts';

const TWO_AT_ONCE = { concurrency: 2, ratePerMinute: null };

describe('slots of a user', () => {
  test("a user's third call waits while the gateway has room, and another user's does not", async () => {
    const admission = new Admission({ maxRunning: 10, maxQueued: 10 });
    const first = await admission.enter('a', never, TWO_AT_ONCE);
    await admission.enter('a', never, TWO_AT_ONCE);
    let third = false;
    admission.enter('a', never, TWO_AT_ONCE).then(() => {
      third = true;
    });
    await admission.enter('b', never, TWO_AT_ONCE);
    await settle();
    expect([third, admission.running, admission.queued]).toEqual([false, 3, 1]);
    first();
    await settle();
    expect([third, admission.running, admission.queued]).toEqual([true, 3, 0]);
  });

  test('a slot that comes free is not given to a user who is at their bound', async () => {
    const admission = new Admission({ maxRunning: 3, maxQueued: 10 });
    const order: string[] = [];
    await admission.enter('a', never, TWO_AT_ONCE);
    await admission.enter('a', never, TWO_AT_ONCE);
    const other = await admission.enter('b', never);
    admission.enter('a', never, TWO_AT_ONCE).then(() => order.push('a'));
    admission.enter('c', never).then(() => order.push('c'));
    other();
    await settle();
    expect(order).toEqual(['c']);
  });

  test('who waited too long behind their own calls is told so, and behind others that there is no capacity', async () => {
    const admission = new Admission({ maxRunning: 3, maxQueued: 10 });
    await admission.enter('a', never, TWO_AT_ONCE);
    await admission.enter('a', never, TWO_AT_ONCE);
    const own = admission.waitedTooLong('a', 100);
    expect([own.code, own.status]).toEqual(['too_many_requests', 429]);
    expect(own.retryAfterSeconds).toBeGreaterThanOrEqual(1);
    const others = admission.waitedTooLong('b', 100);
    expect([others.code, others.status]).toEqual(['no_capacity', 503]);
  });

  test('a full queue of others is no fault of the newcomer', async () => {
    const admission = new Admission({ maxRunning: 1, maxQueued: 2 });
    await admission.enter('a', never);
    for (const name of ['b', 'c']) admission.enter(name, never).catch(() => {});
    await expect(admission.enter('d', never)).rejects.toMatchObject({ code: 'no_capacity' });
  });
});

describe('rate of a user', () => {
  test('calls over the rate are refused with the time to wait, and cost others nothing', async () => {
    const admission = new Admission({ maxRunning: 100, maxQueued: 0 });
    const threeAMinute = { concurrency: null, ratePerMinute: 3 };
    for (let i = 0; i < 3; i++) (await admission.enter('a', never, threeAMinute))();
    const refusal = await admission.enter('a', never, threeAMinute).catch((error) => error);
    expect(refusal).toMatchObject({ code: 'too_many_requests', status: 429 });
    expect(refusal.retryAfterSeconds).toBeGreaterThanOrEqual(1);
    expect(refusal.retryAfterSeconds).toBeLessThanOrEqual(60);
    (await admission.enter('b', never, threeAMinute))();
    expect(admission.running).toBe(0);
  });
});

describe('tiers', () => {
  const tiers = parseConfig({
    TIERS: '{"default": {"concurrency": 2, "memoryMb": 256}, "pro": {"timeoutMs": 5000}}',
  }).TIERS;

  test('a token without a tier, or with one that is not known, is of the default tier', () => {
    expect(tierOf(tiers, null).concurrency).toBe(2);
    expect(tierOf(tiers, 'no-such-tier').concurrency).toBe(2);
    expect(tierOf(tiers, 'constructor').concurrency).toBe(2);
    expect(tierOf(tiers, 'pro')).toMatchObject({ concurrency: null, timeoutMs: 5_000 });
  });

  test('limits over the tier are named with the most it allows', () => {
    const limits = { timeoutMs: 1_000, memoryMb: 512, cpus: 1 };
    expect(overTier(limits, tierOf(tiers, null))).toEqual([{ limit: 'memoryMb', most: 256 }]);
    expect(overTier(limits, WIDEST_TIER)).toEqual([]);
  });

  test.each([
    ['not json', 'TIERS'],
    ['{"pro": {"concurrency": 0}}', 'TIERS: pro.concurrency'],
    ['{"pro": {"memory": 1}}', 'TIERS: pro'],
    ['{"Pro!": {}}', 'TIERS: Pro!'],
  ])('%s is refused by name', (text, named) => {
    expect(() => parseConfig({ TIERS: text })).toThrow(named);
  });
});

describe('memory of the host', () => {
  test('while it is short nothing boots, and when it has come free pools are told', async () => {
    const clock = new FakeClock();
    let short = true;
    const budget = new BootBudget({ maxBooting: 4, maxSandboxes: 10, clock, isMemoryShort: () => short });
    let told = 0;
    budget.whenRoom(() => {
      told += 1;
    });
    expect([budget.allowed, budget.allowed, clock.pendingTimers]).toEqual([0, 0, 1]);
    await clock.advance(500);
    expect([told, budget.allowed]).toEqual([1, 0]);
    short = false;
    await clock.advance(500);
    expect([told, budget.allowed, clock.pendingTimers]).toEqual([2, 4, 0]);
  });
});
