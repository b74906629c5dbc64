import { v7 as uuidv7 } from 'uuid';
import { expect, test } from 'vitest';
import type { EnqueueRequest } from '../../src/core/enqueue.ts';
import type { Event } from '../../src/core/event.ts';
import type { ScheduleSettings, ScheduleState } from '../../src/core/schedules/schedule.ts';
import type { Store } from '../../src/core/store.ts';
import { DUE, draft, scheduleSettings, scheduleState } from './samples.ts';

const NEXT = new Date('2026-01-01T10:01:00Z');
const alice = { id: 'alice', tier: 'pro' };

/** None of them as a column would have it by itself. */
const settings = (changes: Partial<ScheduleSettings> = {}) =>
  scheduleSettings({
    target: 'hello:live',
    timeZone: 'Europe/Berlin',
    catchUp: 'all',
    overlap: 'queue',
    maxRuns: 7,
    jitterMs: 5,
    ...changes,
  });

function run(event: Event, due = DUE): EnqueueRequest {
  return {
    id: uuidv7(),
    event,
    caller: { userId: 'alice', tier: null },
    trigger: 'schedule',
    payload: { time: due.toISOString() },
    dedup: { scope: 'schedule:x', key: due.toISOString(), ttlMs: 60_000 },
  };
}

/** What every Store promises of schedules. */
export function schedulesContract(open: () => Store): void {
  const runsOf = async () => (await open().invocations.listByEvent('alice', 'hello', { limit: 100 })).items;

  test('what was made is found, field by field, replaced and removed', async () => {
    const made = await open().schedules.create(alice, settings(), scheduleState());
    expect(made).toMatchObject({ ...settings(), ...scheduleState(), ownerId: 'alice', tier: 'pro' });
    expect(await open().schedules.find('alice', 'nightly')).toEqual(made);
    expect(await open().schedules.find('bob', 'nightly')).toBeUndefined();
    const other = settings({ cron: null, at: NEXT, payload: null, maxRuns: null });
    const replaced = await open().schedules.replace({ id: 'alice', tier: null }, other, (before) =>
      scheduleState({ runs: before.runs + 1, lastRunAt: DUE, lastDueAt: DUE, lastInvocationId: 'x' }),
    );
    expect(replaced).toMatchObject({ ...other, runs: 1, lastDueAt: DUE, tier: null, id: made.id });
    expect(await open().schedules.find('alice', 'nightly')).toEqual(replaced);
    const bob = { id: 'bob', tier: null };
    expect(await open().schedules.replace(bob, other, () => scheduleState())).toBeUndefined();
    expect(await open().schedules.remove('bob', 'nightly')).toBe(false);
    expect(await open().schedules.remove('alice', 'nightly')).toBe(true);
    expect(await open().schedules.find('alice', 'nightly')).toBeUndefined();
  });

  test('a name is taken for its owner only, and a list has the owner’s, sorted', async () => {
    for (const name of ['b', 'a']) await open().schedules.create(alice, settings({ name }), scheduleState());
    await open().schedules.create({ id: 'bob', tier: null }, settings({ name: 'a' }), scheduleState());
    const again = open().schedules.create(alice, settings({ name: 'a' }), scheduleState());
    await expect(again).rejects.toMatchObject({ code: 'schedule_exists' });
    expect((await open().schedules.list('alice')).map(({ name }) => name)).toEqual(['a', 'b']);
  });

  test('those that are due come, the earliest first, and those that wait for what has ended', async () => {
    const make = (name: string, over: Partial<ScheduleState>) =>
      open().schedules.create(alice, settings({ name }), scheduleState(over));
    await make('later', { fireAt: NEXT });
    await make('second', { fireAt: DUE });
    await make('first', { fireAt: new Date(DUE.getTime() - 1) });
    await make('off', { enabled: false, nextAt: null, fireAt: null });
    await make('held', { fireAt: NEXT, held: true, lastInvocationId: 'before' });
    const names = async (limit: number, ended: string[] = []) =>
      (await open().schedules.due(DUE, limit, ended)).map(({ name }) => name);
    expect(await names(10)).toEqual(['first', 'second']);
    expect(await names(1)).toEqual(['first']);
    expect(await names(10, ['before', 'another'])).toEqual(['first', 'second', 'held']);
    expect(await open().schedules.nextFireAt()).toEqual(new Date(DUE.getTime() - 1));
  });

  test('of many who run one due time at once one does, and what it runs is in the queue', async () => {
    const event = await open().events.create('alice', draft());
    const made = await open().schedules.create(alice, settings(), scheduleState());
    const after = scheduleState({ nextAt: NEXT, fireAt: NEXT, runs: 1, lastRunAt: DUE, lastDueAt: DUE });
    const tries = Array.from({ length: 8 }, () => open().schedules.advance(made, after, [run(event)]));
    expect((await Promise.all(tries)).filter(Boolean)).toHaveLength(1);
    expect(await open().schedules.find('alice', 'nightly')).toMatchObject(after);
    const [only, ...others] = await runsOf();
    expect(others).toEqual([]);
    expect(only).toMatchObject({ status: 'queued', trigger: 'schedule' });
  });

  test('a due time that has run does not run again, even if its schedule forgot', async () => {
    const event = await open().events.create('alice', draft());
    const made = await open().schedules.create(alice, settings(), scheduleState());
    expect(await open().schedules.advance(made, scheduleState({ runs: 1 }), [run(event)])).toBe(true);
    const again = (await open().schedules.find('alice', 'nightly'))!;
    expect(await open().schedules.advance(again, scheduleState({ runs: 2 }), [run(event)])).toBe(true);
    expect(await runsOf()).toHaveLength(1);
  });

  test('a schedule that was replaced or removed meanwhile runs nothing of what it was', async () => {
    const event = await open().events.create('alice', draft());
    const made = await open().schedules.create(alice, settings(), scheduleState());
    await open().schedules.replace(alice, settings({ payload: 'other' }), () => scheduleState());
    expect(await open().schedules.advance(made, scheduleState({ runs: 1 }), [run(event)])).toBe(false);
    const now = (await open().schedules.find('alice', 'nightly'))!;
    await open().schedules.remove('alice', 'nightly');
    expect(await open().schedules.advance(now, scheduleState({ runs: 1 }), [run(event)])).toBe(false);
    expect(await runsOf()).toEqual([]);
  });

  test('with its event a schedule ends, and says why', async () => {
    await open().events.create('alice', draft());
    await open().events.create('alice', draft({ name: 'other' }));
    await open().schedules.create(alice, settings(), scheduleState());
    await open().schedules.create(alice, settings({ name: 'kept', target: 'other' }), scheduleState());
    await open().events.remove('alice', 'hello');
    expect(await open().schedules.find('alice', 'nightly')).toMatchObject({
      enabled: false,
      disabledReason: 'event_removed',
      nextAt: null,
      fireAt: null,
    });
    expect(await open().schedules.find('alice', 'kept')).toMatchObject({ enabled: true, nextAt: DUE });
  });

  test('a change is told of', async () => {
    let told = 0;
    open().onSchedulesChanged(() => {
      told += 1;
    });
    await open().schedules.create(alice, settings(), scheduleState());
    expect(told).toBeGreaterThan(0);
  });
}
