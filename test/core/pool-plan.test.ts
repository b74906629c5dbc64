import { describe, expect, test } from 'vitest';
import { bootBackoffMs, type PoolTargets, type PoolView, planPool } from '../../src/core/pool-plan.ts';
import { seeded } from './fakes.ts';

const targets: PoolTargets = { min: 1, target: 3, max: 6, idleMs: 1_000, maxAgeMs: 10_000 };
const ready = (...ages: number[]) => ages.map((readyAt, at) => ({ id: `s${at}`, readyAt }));

function view(over: Partial<PoolView> = {}): PoolView {
  return {
    ready: [],
    starting: 0,
    taken: 0,
    waiters: 0,
    lastDemandAt: null,
    bootsAllowed: 100,
    notBefore: Number.NEGATIVE_INFINITY,
    ...over,
  };
}

describe('what a pool does next', () => {
  test.for<[string, Partial<PoolView>, { start: number; retire: string[]; nextAt: number | null }]>([
    ['boots its minimum when never called', {}, { start: 1, retire: [], nextAt: null }],
    ['boots its target while in use', { lastDemandAt: 4_500 }, { start: 3, retire: [], nextAt: null }],
    [
      'boots for each waiter besides',
      { lastDemandAt: 4_900, waiters: 2 },
      { start: 5, retire: [], nextAt: null },
    ],
    [
      'never boots over its maximum',
      { lastDemandAt: 4_900, waiters: 50 },
      { start: 6, retire: [], nextAt: null },
    ],
    [
      'counts those that were taken',
      { lastDemandAt: 4_900, taken: 5 },
      { start: 1, retire: [], nextAt: null },
    ],
    ['counts those that boot already', { starting: 1 }, { start: 0, retire: [], nextAt: null }],
    [
      'boots no more than the engine is to be asked for',
      { waiters: 4, bootsAllowed: 2 },
      { start: 2, retire: [], nextAt: null },
    ],
    ['rests with what it keeps', { ready: ready(4_000) }, { start: 0, retire: [], nextAt: 14_000 }],
    [
      'shrinks to its minimum, oldest first, when idle',
      { ready: ready(3, 1, 2), lastDemandAt: 3_999 },
      { start: 0, retire: ['s1', 's2'], nextAt: 10_003 },
    ],
    [
      'keeps its target until it is idle',
      { ready: ready(1, 2, 3), lastDemandAt: 4_001 },
      { start: 0, retire: [], nextAt: 5_001 },
    ],
    ['replaces what is too old', { ready: ready(-5_000) }, { start: 1, retire: ['s0'], nextAt: null }],
    [
      'waits after a failed boot, and says how long',
      { waiters: 1, notBefore: 5_200 },
      { start: 0, retire: [], nextAt: 5_200 },
    ],
    [
      'has nothing to wait for after a failed boot when full',
      { ready: ready(4_000), notBefore: 5_200 },
      { start: 0, retire: [], nextAt: 14_000 },
    ],
  ])('%s', ([, over, plan]) => {
    expect(planPool(view(over), targets, 5_000)).toEqual(plan);
  });

  test('at random it is never over its maximum, never negative, and comes to rest', () => {
    const random = seeded(1);
    const upTo = (limit: number) => Math.floor(random() * (limit + 1));
    for (let round = 0; round < 2_000; round++) {
      const max = 1 + upTo(8);
      const min = upTo(max);
      const some: PoolTargets = {
        min,
        target: min + upTo(max),
        max,
        idleMs: upTo(500),
        maxAgeMs: 20 + upTo(2_000),
      };
      converges(some, upTo);
    }
  });

  /** Carries out plan after plan with random events between, then with none until the plan asks for nothing. */
  function converges(some: PoolTargets, upTo: (limit: number) => number): void {
    let now = 0;
    let ids = 0;
    let state = view({ bootsAllowed: upTo(4) });
    const step = () => {
      const plan = planPool(state, some, now);
      expect(plan.start).toBeGreaterThanOrEqual(0);
      expect(plan.start).toBeLessThanOrEqual(state.bootsAllowed);
      const total = state.ready.length + state.starting + state.taken;
      if (plan.start > 0) expect(total + plan.start).toBeLessThanOrEqual(some.max);
      expect(new Set(plan.retire).size).toBe(plan.retire.length);
      if (plan.nextAt !== null) expect(plan.nextAt).toBeGreaterThan(now);
      const kept = state.ready.filter(({ id }) => !plan.retire.includes(id));
      state = { ...state, ready: kept, starting: state.starting + plan.start };
      return plan;
    };
    const boot = () => {
      if (state.starting === 0) return;
      ids += 1;
      const starting = state.starting - 1;
      if (state.waiters > 0)
        state = { ...state, starting, waiters: state.waiters - 1, taken: state.taken + 1 };
      else state = { ...state, starting, ready: [...state.ready, { id: `r${ids}`, readyAt: now }] };
    };
    const call = () => {
      const [warm, ...rest] = state.ready;
      state = { ...state, lastDemandAt: now };
      if (warm === undefined) state = { ...state, waiters: state.waiters + 1 };
      else state = { ...state, ready: rest, taken: state.taken + 1 };
    };
    for (let event = 0; event < 12; event++) {
      now += upTo(300);
      const kind = upTo(5);
      if (kind === 0) call();
      if (kind === 1) boot();
      if (kind === 2 && state.taken > 0) state = { ...state, taken: state.taken - 1 };
      if (kind === 3) state = { ...state, notBefore: now + upTo(300) };
      if (kind === 4) state = { ...state, ready: state.ready.slice(1) };
      if (kind === 5) state = { ...state, bootsAllowed: upTo(4) };
      step();
    }
    state = { ...state, bootsAllowed: 100, taken: 0 };
    // Without an event from outside, only `nextAt` moves time: were it missing once, the pool would never get there.
    for (let turn = 0; turn < 200; turn++) {
      step();
      while (state.starting > 0) boot();
      state = { ...state, taken: 0 };
      const next = planPool(state, some, now);
      if (next.start > 0 || next.retire.length > 0) continue;
      const atRest = state.waiters === 0 && state.ready.length === some.min;
      if (atRest && now >= (state.lastDemandAt ?? 0) + some.idleMs) return;
      if (next.nextAt === null) {
        expect(planPool(state, some, 1e9), 'time changes the plan, and nobody looks at the clock').toEqual(
          next,
        );
        expect(atRest).toBe(true);
        return;
      }
      now = next.nextAt;
    }
    expect.fail('the pool did not come to rest');
  }
});

describe('back-off after failed boots', () => {
  test('doubles from 200 ms to 5 s, half of it jitter', () => {
    expect(bootBackoffMs(1, 0)).toBe(100);
    expect(bootBackoffMs(1, 1)).toBe(200);
    expect(bootBackoffMs(2, 1)).toBe(400);
    expect(bootBackoffMs(5, 1)).toBe(3_200);
    expect(bootBackoffMs(6, 1)).toBe(5_000);
    expect(bootBackoffMs(100_000, 0)).toBe(2_500);
  });
});
