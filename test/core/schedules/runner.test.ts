import { afterEach, beforeEach, expect, test } from 'vitest';
import { ScheduleRunner } from '../../../src/core/schedules/runner.ts';
import { FakeClock, settle } from '../fakes.ts';
import { FakeScheduleStore, START, Surroundings, schedule } from './fakes.ts';

let clock: FakeClock;
let store: FakeScheduleStore;
let around: Surroundings;
let errors: unknown[];
let jumpedMs: number;
let runners: ScheduleRunner[];

beforeEach(() => {
  clock = new FakeClock();
  store = new FakeScheduleStore();
  around = new Surroundings();
  errors = [];
  jumpedMs = 0;
  runners = [];
});
afterEach(async () => {
  for (const runner of runners) await runner.close();
  expect(clock.pendingTimers).toBe(0);
});

async function start(): Promise<ScheduleRunner> {
  const runner = new ScheduleRunner({
    store,
    clock,
    wallNow: () => START.getTime() + clock.now() + jumpedMs,
    onEnqueued: () => {},
    onError: (error) => errors.push(error),
    events: around.events,
    aliases: around.aliases,
    invocations: around.invocations,
    grade: around.grade,
    newId: around.newId,
    random: around.random,
  });
  runners.push(runner);
  runner.wake();
  await settle();
  return runner;
}

/** Due times that ran, in minutes behind the start. */
const minutes = () =>
  store.runs.map(({ dedup }) => (new Date(dedup!.key).getTime() - START.getTime()) / 60_000);
const inMinutes = (count: number) => new Date(START.getTime() + count * 60_000);
const at = (count: number) => ({ nextAt: inMinutes(count), fireAt: inMinutes(count) });

test('each due time runs once, at its time, and nothing is asked in between', async () => {
  store.put(schedule(at(1)));
  await start();
  await clock.advance(59_999);
  expect(minutes()).toEqual([]);
  await clock.advance(1);
  expect(minutes()).toEqual([1]);
  await clock.advance(180_000);
  expect(minutes()).toEqual([1, 2, 3, 4]);
  expect(store.asked).toBeLessThanOrEqual(6);
});

test('a schedule that is far away costs a question a minute', async () => {
  store.put(schedule(at(600)));
  await start();
  await clock.advance(600_000);
  expect(store.asked).toBeLessThanOrEqual(11);
});

test('one that is made meanwhile is heard of', async () => {
  const runner = await start();
  await clock.advance(10_000);
  store.put(schedule(at(0.25)));
  runner.wake();
  await clock.advance(5_000);
  expect(minutes()).toEqual([0.25]);
});

test('several runners run each due time once', async () => {
  store.put(schedule(at(0)));
  for (let count = 0; count < 3; count++) await start();
  await clock.advance(600_000);
  expect(minutes()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

test('when the clock jumps ahead, what it jumped over is caught up with once', async () => {
  store.put(schedule(at(1)));
  await start();
  jumpedMs = 3_600_000 + 30_000;
  await clock.advance(30_000);
  expect(minutes()).toEqual([61]);
  await clock.advance(60_000);
  expect(minutes()).toEqual([61, 62]);
});

test('when the clock is put back, what has run does not run again', async () => {
  store.put(schedule(at(1)));
  await start();
  await clock.advance(150_000);
  expect(minutes()).toEqual([1, 2]);
  jumpedMs = -3_600_000;
  await clock.advance(3_600_000);
  expect(minutes()).toEqual([1, 2]);
  await clock.advance(60_000);
  expect(minutes()).toEqual([1, 2, 3]);
});

test('the database may be away: it is asked again, more and more seldom, and catches up', async () => {
  store.put(schedule({ ...at(1), catchUp: 'all' }));
  store.away = true;
  await start();
  await clock.advance(300_000);
  expect(errors.length).toBeGreaterThan(5);
  expect(errors.length).toBeLessThan(20);
  store.away = false;
  await clock.advance(30_000);
  expect(minutes()).toEqual([1, 2, 3, 4, 5]);
});

test('one that cannot be run holds up no other', async () => {
  store.put(schedule({ ...at(0), id: 'broken', timeZone: 'Nowhere/Land' }));
  store.put(schedule({ ...at(0), id: 'fine' }));
  await start();
  await clock.advance(120_000);
  expect(new Set(minutes())).toEqual(new Set([0, 1, 2]));
  expect(errors.length).toBeLessThan(20);
});

test('a due time that waits for the run before goes on at its end', async () => {
  store.put(schedule({ ...at(0), overlap: 'queue' }));
  const runner = await start();
  await clock.advance(62_000);
  expect(minutes()).toEqual([0]);
  around.statuses.set('run-1', 'succeeded');
  runner.ended('run-1');
  await settle();
  expect(minutes()).toEqual([0, 1]);
});

test('a due time that waits goes on even when nobody tells of the end', async () => {
  store.put(schedule({ ...at(0), overlap: 'queue' }));
  await start();
  await clock.advance(62_000);
  around.statuses.set('run-1', 'succeeded');
  await clock.advance(5_000);
  expect(minutes()).toEqual([0, 1]);
});

test('a runner that is closed does nothing more', async () => {
  store.put(schedule(at(1)));
  const runner = await start();
  await runner.close();
  runner.wake();
  await clock.advance(600_000);
  expect(minutes()).toEqual([]);
});
