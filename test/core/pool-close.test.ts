import { beforeEach, expect, test } from 'vitest';
import { BootBudget } from '../../src/core/boot-budget.ts';
import { Pool } from '../../src/core/pool.ts';
import { FakeBackend, FakeClock, never, settle, spec } from './fakes.ts';

let backend: FakeBackend;
let clock: FakeClock;
let budget: BootBudget;
let pool: Pool;

beforeEach(() => {
  backend = new FakeBackend();
  clock = new FakeClock();
  budget = new BootBudget({ maxBooting: 2, maxSandboxes: 2, clock });
  const targets = { min: 0, target: 1, max: 2, idleMs: 60_000, maxAgeMs: 600_000 };
  pool = new Pool('python', spec(), targets, {
    backend,
    budget,
    clock,
    bootTimeoutMs: 5_000,
    random: () => 0,
    onEngineError: () => {},
    onDisturbance: () => {},
  });
});

/** Whether the promise has settled by now. */
async function isDone(work: Promise<unknown>): Promise<boolean> {
  let done = false;
  work.finally(() => {
    done = true;
  });
  await settle();
  return done;
}

test('closing refuses who waits, aborts boots and takes no more callers', async () => {
  const calls = [pool.take(never), pool.take(never, true), pool.take(never), pool.take(never, true)];
  const refused = Promise.all(
    calls.map((call) => expect(call).rejects.toMatchObject({ code: 'shutting_down' })),
  );
  const boots = [...backend.boots];
  await pool.close();
  await refused;
  expect(boots.map(({ signal }) => signal.aborted)).toEqual([true, true]);
  await expect(pool.take(never)).rejects.toMatchObject({ code: 'shutting_down' });
  expect(pool.status()).toMatchObject({ starting: 0, ready: 0, waiting: 0, bootFailures: 0 });
  expect(clock.pendingTimers).toBe(0);
  expect(budget.allowed).toBe(2);
});

test('closing destroys what is warm and waits until it is gone', async () => {
  backend.auto = true;
  await pool.take(never);
  await settle();
  const [taken, warm] = backend.sandboxes;
  const gate = Promise.withResolvers<void>();
  backend.destroyGate = gate.promise;
  const closing = pool.close();
  expect(await isDone(closing)).toBe(false);
  gate.resolve();
  await closing;
  expect(warm!.destroyed).toBe(1);
  // What was taken is its caller's to destroy.
  expect(taken!.destroyed).toBe(0);
});

test('a sandbox that boots though it was called off is destroyed, and its caller refused', async () => {
  backend.deaf = true;
  const cold = expect(pool.take(never, true)).rejects.toMatchObject({ code: 'shutting_down' });
  const waiting = expect(pool.take(never)).rejects.toMatchObject({ code: 'shutting_down' });
  const boots = [...backend.boots];
  const closing = pool.close();
  expect(await isDone(closing)).toBe(false);
  const sandboxes = boots.map((boot) => boot.succeed());
  await closing;
  expect(sandboxes.map(({ destroyed }) => destroyed)).toEqual([1, 1]);
  await Promise.all([cold, waiting]);
  expect(budget.allowed).toBe(2);
});
