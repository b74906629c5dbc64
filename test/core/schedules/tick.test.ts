import { beforeEach, describe, expect, test } from 'vitest';
import type { Schedule } from '../../../src/core/schedules/schedule.ts';
import { tickOf } from '../../../src/core/schedules/tick.ts';
import { event } from '../gateway.ts';
import { START, Surroundings, schedule } from './fakes.ts';

let around: Surroundings;
beforeEach(() => {
  around = new Surroundings();
});

const later = (seconds: number) => new Date(START.getTime() + seconds * 1_000);
const tick = (over: Partial<Schedule> = {}, seconds = 0) => tickOf(schedule(over), later(seconds), around);
const dueOf = (ticked: Awaited<ReturnType<typeof tick>>) =>
  ticked.runs.map(({ payload }) => (payload as { time: string }).time.slice(11, 19));

describe('a schedule that is due', () => {
  test('calls its event as its owner, with the due time and its payload', async () => {
    const { state, runs } = await tick({}, 3);
    expect(runs).toEqual([
      {
        id: 'run-1',
        event: around.event,
        caller: { userId: 'owner', tier: 'pro' },
        trigger: 'schedule',
        payload: {
          version: '0',
          id: 'run-1',
          'detail-type': 'Scheduled Event',
          source: 'cronium.schedule',
          account: 'owner',
          time: '2026-01-01T10:00:00Z',
          resources: ['/v1/schedules/nightly'],
          detail: { full: true },
        },
        dedup: {
          scope: 'schedule:schedule-id',
          key: '2026-01-01T10:00:00.000Z',
          ttlMs: expect.any(Number),
        },
      },
    ]);
    expect(state).toMatchObject({
      enabled: true,
      nextAt: later(60),
      fireAt: later(60),
      runs: 1,
      skipped: 0,
      lastDueAt: START,
      lastRunAt: later(3),
      lastInvocationId: 'run-1',
    });
  });

  test.each([
    ['hello', 3],
    ['hello@1', 1],
    ['hello:live', 2],
  ])('calls %s in version %i', async (target, version) => {
    expect((await tick({ target })).runs[0]?.event.current.version).toBe(version);
  });

  test('is looked at next when its jitter is over', async () => {
    const { state } = await tick({ jitterMs: 10_000 });
    expect([state.nextAt, state.fireAt]).toEqual([later(60), later(65)]);
  });

  test('ends with its last run, and with the only one of a moment', async () => {
    const finished = { enabled: false, disabledReason: 'finished', nextAt: null, fireAt: null };
    expect((await tick({ maxRuns: 3, runs: 1 })).state.enabled).toBe(true);
    const last = await tick({ maxRuns: 3, runs: 2, catchUp: 'all' }, 300);
    expect(last.runs).toHaveLength(1);
    expect(last.state).toMatchObject({ ...finished, runs: 3 });
    const once = await tick({ cron: null, at: START });
    expect(once.runs).toHaveLength(1);
    expect(once.state).toMatchObject({ ...finished, runs: 1 });
  });

  test('says what it missed', async () => {
    const { state } = await tick({ catchUp: 'skip' }, 3_630);
    expect(state).toMatchObject({
      skipped: 61,
      lastSkipReason: 'missed',
      lastSkippedAt: later(3_630),
      runs: 0,
    });
  });
});

describe('a schedule whose event cannot be called', () => {
  const off = (disabledReason: string) => ({ enabled: false, disabledReason, nextAt: null, fireAt: null });

  test('is disabled when it was removed, or is somebody else’s by now', async () => {
    around.event = undefined;
    expect(await tick()).toEqual({ state: expect.objectContaining(off('event_removed')), runs: [] });
    around = new Surroundings();
    expect((await tick({ ownerId: 'another' })).state).toMatchObject(off('event_removed'));
  });

  test.each(['hello@9', 'hello:nobody'])('is disabled when there is no %s', async (target) => {
    expect(await tick({ target })).toEqual({
      state: expect.objectContaining(off('target_missing')),
      runs: [],
    });
  });

  test('skips while its event is disabled', async () => {
    around.event = { ...around.event!, enabled: false };
    const { state, runs } = await tick();
    expect(runs).toEqual([]);
    expect(state).toMatchObject({
      enabled: true,
      nextAt: later(60),
      skipped: 1,
      lastSkipReason: 'event_disabled',
    });
  });

  test('skips what its event demands more isolation for than there is', async () => {
    around.event = event({ minIsolation: 'gvisor' });
    const { state, runs } = await tick();
    expect(runs).toEqual([]);
    expect(state).toMatchObject({
      enabled: true,
      nextAt: later(60),
      runs: 0,
      skipped: 1,
      lastSkipReason: 'isolation_unavailable',
    });
    around.grade = { ...around.grade, kernel: 'gvisor' };
    expect((await tick()).runs).toHaveLength(1);
  });
});

describe('while the run before goes on', () => {
  const busy = { lastInvocationId: 'before' };

  test.each(['queued', 'running'] as const)('(%s) a due time is skipped, or not', async (status) => {
    around.statuses.set('before', status);
    const skipped = await tick({ ...busy, overlap: 'skip' });
    expect(skipped.runs).toEqual([]);
    expect(skipped.state).toMatchObject({ skipped: 1, lastSkipReason: 'overlap', nextAt: later(60) });
    expect((await tick({ ...busy, overlap: 'allow' })).runs).toHaveLength(1);
  });

  test.each(['succeeded', 'failed', 'timed_out', 'cancelled', 'dead'] as const)(
    'and when it has ended (%s), the due time runs',
    async (status) => {
      around.statuses.set('before', status);
      expect((await tick({ ...busy, overlap: 'skip' })).runs).toHaveLength(1);
    },
  );

  test('a due time waits for its end, and none is lost', async () => {
    around.statuses.set('before', 'running');
    const held = await tick({ ...busy, overlap: 'queue' });
    expect(held.runs).toEqual([]);
    expect(held.state).toMatchObject({ held: true, nextAt: START, fireAt: later(5), skipped: 0 });
    around.statuses.set('before', 'succeeded');
    const first = await tick({ ...held.state, overlap: 'queue' }, 130);
    expect(dueOf(first)).toEqual(['10:00:00']);
    expect(first.state).toMatchObject({ held: true, nextAt: later(60), fireAt: later(60), skipped: 0 });
    around.statuses.set('run-1', 'succeeded');
    const second = await tick({ ...first.state, overlap: 'queue' }, 130);
    expect(dueOf(second)).toEqual(['10:01:00']);
    around.statuses.set('run-2', 'succeeded');
    const third = await tick({ ...second.state, overlap: 'queue' }, 130);
    expect(dueOf(third)).toEqual(['10:02:00']);
    expect(third.state).toMatchObject({ held: false, nextAt: later(180), runs: 3 });
  });

  test('of those that come at once the first runs, the others overlap', async () => {
    const { state, runs } = await tick({ overlap: 'skip', catchUp: 'all' }, 130);
    expect(runs).toHaveLength(1);
    expect(state).toMatchObject({ skipped: 2, lastSkipReason: 'overlap', nextAt: later(180) });
  });
});
