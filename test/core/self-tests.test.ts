import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Runtime } from '../../src/core/event.ts';
import type { Check } from '../../src/core/self-test.ts';
import { SelfTests } from '../../src/core/self-tests.ts';
import { FakeClock } from './fakes.ts';

const HOLDS: Check = { id: 'network', what: 'no network', holds: true, promised: true, seen: 'ENETUNREACH' };
const BROKEN: Check = { ...HOLDS, holds: false, seen: '1.1.1.1' };
const UNPROMISED: Check = { ...BROKEN, id: 'ptrace', promised: false };
const UNTRIED: Check = { ...HOLDS, id: 'bpf', holds: null };

let clock: FakeClock;
let tests: SelfTests;
/** What the next tests find, in their order; the last one is found again and again. */
let finds: (Check[] | Error)[];
let tested: Runtime[];
let verdicts: string[];
let running: number;

beforeEach(() => {
  clock = new FakeClock();
  finds = [[HOLDS]];
  tested = [];
  verdicts = [];
  running = 0;
  tests = new SelfTests({
    runtimes: ['python', 'nodejs'],
    clock,
    examine: async (runtime, signal) => {
      signal.throwIfAborted();
      tested.push(runtime);
      running += 1;
      expect(running).toBe(1);
      await Promise.resolve();
      running -= 1;
      signal.throwIfAborted();
      const found = finds.length > 1 ? finds.shift()! : finds[0]!;
      if (found instanceof Error) throw found;
      return found;
    },
    onVerdict: (runtime, { status }) => verdicts.push(`${runtime} ${status}`),
    onTrouble: (runtime, error) => verdicts.push(`${runtime} ${error}`),
  });
});

afterEach(async () => {
  await tests.close();
  expect(clock.pendingTimers).toBe(0);
});

test('every runtime is tested, one after the other', async () => {
  expect(tests.of('python')).toMatchObject({ status: 'running', at: null });
  tests.start();
  await clock.advance(100);
  expect(tested).toEqual(['python', 'nodejs']);
  expect(verdicts).toEqual(['python passed', 'nodejs passed']);
  expect(tests.of('nodejs')).toMatchObject({ status: 'passed', checks: [HOLDS], at: expect.any(Date) });
});

test('what is promised and does not hold fails; what is not promised, or could not be tried, does not', async () => {
  finds = [
    [HOLDS, UNPROMISED, UNTRIED],
    [HOLDS, BROKEN],
  ];
  tests.start();
  await clock.advance(100);
  expect(verdicts).toEqual(['python passed', 'nodejs failed']);
  expect(tests.failures()).toEqual([
    'nodejs: the self-test failed, so that nobody is served: no network (1.1.1.1)',
  ]);
});

test('one that failed is repeated, and a host that was mended passes', async () => {
  finds = [[BROKEN], [BROKEN], [HOLDS]];
  tests.start();
  await clock.advance(29_000);
  expect(tests.of('python').status).toBe('failed');
  await clock.advance(2_000);
  expect(verdicts).toEqual(['python failed', 'nodejs passed', 'python passed']);
  expect(tests.failures()).toEqual([]);
});

test('one that fails is looked at again at once, and only two in a row count', async () => {
  finds = [[BROKEN], [HOLDS]];
  tests.start();
  await clock.advance(100);
  expect(verdicts).toEqual(['python passed', 'nodejs passed']);
  expect(tested).toEqual(['python', 'python', 'nodejs']);
});

test('one that passed is repeated after an hour', async () => {
  tests.start();
  await clock.advance(3_500_000);
  expect(tested.length).toBe(2);
  await clock.advance(200_000);
  expect(tested.length).toBe(4);
});

test('one that cannot be carried out says nothing of the sandboxes, and is tried again, more and more seldom', async () => {
  finds = [new Error('no engine'), [HOLDS], new Error('no engine'), new Error('no engine'), [HOLDS]];
  tests.start();
  await clock.advance(100);
  expect(tests.of('python')).toMatchObject({ status: 'running', trouble: 'no engine', at: null });
  await clock.advance(1_000);
  expect(tested).toEqual(['python', 'nodejs', 'python']);
  await clock.advance(1_500);
  expect(tested.length).toBe(4 - 1);
  await clock.advance(2_000 + 4_000);
  expect(tests.of('python')).toMatchObject({ status: 'passed', trouble: null });
});

test('a reason to look again has the test repeated, and many reasons only once', async () => {
  tests.start();
  await clock.advance(100);
  for (let n = 0; n < 20; n++) tests.repeat('python');
  await clock.advance(2_000);
  expect(tested.length).toBe(2);
  await clock.advance(2_000);
  expect(tested).toEqual(['python', 'nodejs', 'python']);
});

test('a repetition that fails has the runtime serve nobody', async () => {
  finds = [[HOLDS], [HOLDS], [BROKEN]];
  tests.start();
  await clock.advance(20_000);
  tests.repeat('nodejs');
  await clock.advance(1_000);
  expect(verdicts.at(-1)).toBe('nodejs failed');
});

test('closed while one is under way, nothing is told and nothing follows', async () => {
  tests.start();
  await tests.close();
  expect(tested).toEqual(['python']);
  expect(verdicts).toEqual([]);
  tests.start();
  tests.repeat('python');
  expect(clock.pendingTimers).toBe(0);
});
