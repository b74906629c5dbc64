import { beforeEach, describe, expect, test } from 'vitest';
import { BootBudget } from '../../src/core/boot-budget.ts';
import { Pool, type Taken } from '../../src/core/pool.ts';
import type { PoolTargets } from '../../src/core/pool-plan.ts';
import { GatewayError } from '../../src/errors.ts';
import { FakeBackend, FakeClock, never, settle, spec } from './fakes.ts';

let backend: FakeBackend;
let clock: FakeClock;
let budget: BootBudget;
let reported: unknown[];

beforeEach(() => {
  backend = new FakeBackend();
  clock = new FakeClock();
  budget = new BootBudget({ maxBooting: 4, maxSandboxes: 20, clock });
  reported = [];
});

function pool(over: Partial<PoolTargets> = {}): Pool {
  const targets = { min: 0, target: 0, max: 10, idleMs: 60_000, maxAgeMs: 600_000, ...over };
  const made = new Pool('python', spec(), targets, {
    backend,
    budget,
    clock,
    bootTimeoutMs: 5_000,
    random: () => 0,
    onEngineError: (_key, error) => reported.push(error),
    onDisturbance: () => {},
  });
  budget.whenRoom(() => made.pump());
  return made;
}

async function warm(over: Partial<PoolTargets> = {}): Promise<Pool> {
  backend.auto = true;
  const made = pool({ min: 2, target: 2, ...over });
  made.pump();
  await settle();
  backend.auto = false;
  return made;
}

/** Who has been served, in which order. */
function inOrder(calls: Record<string, Promise<Taken>>): string[] {
  const served: string[] = [];
  for (const [name, call] of Object.entries(calls)) call.then(() => served.push(name));
  return served;
}

describe('taking', () => {
  test('a warm sandbox is handed over at once, the oldest first, and none twice', async () => {
    const made = await warm();
    const first = await made.take(never);
    const second = await made.take(never);
    expect([first.sandbox.id, second.sandbox.id]).toEqual(['1', '2']);
    expect([first.start, second.start]).toEqual(['warm', 'warm']);
    expect(made.status()).toMatchObject({ ready: 0, taken: 2, warmStarts: 2, coldStarts: 0 });
  });

  test('a taken sandbox is replaced soon after, not at once: the call comes first', async () => {
    const made = await warm();
    await made.take(never);
    await settle();
    expect(backend.boots).toHaveLength(0);
    await clock.advance(10);
    expect(backend.boots).toHaveLength(1);
  });

  test('and later where every sandbox has a kernel of its own, and calls take longer', async () => {
    backend.kernel = 'gvisor';
    const made = await warm();
    await made.take(never);
    await clock.advance(24);
    expect(backend.boots).toHaveLength(0);
    await clock.advance(1);
    expect(backend.boots).toHaveLength(1);
  });

  test('a steady stream of calls does not put the refill off', async () => {
    const made = await warm({ min: 8, target: 8, max: 20 });
    budget.whenRoom(() => {});
    backend.auto = true;
    made.pump();
    await settle();
    backend.auto = false;
    for (let call = 0; call < 3; call++) {
      await made.take(never);
      await clock.advance(6);
    }
    expect(backend.boots.length).toBeGreaterThan(0);
  });

  test('without a warm one the caller waits for the next that boots', async () => {
    const made = pool();
    const call = made.take(never);
    expect(backend.boots).toHaveLength(1);
    backend.boots[0]!.succeed();
    expect(await call).toMatchObject({ start: 'cold', sandbox: { id: '1' } });
  });

  test('waiters are served in the order in which they came', async () => {
    budget = new BootBudget({ maxBooting: 1, maxSandboxes: 20, clock });
    const made = pool();
    const served = inOrder({ a: made.take(never), b: made.take(never), c: made.take(never) });
    for (let boot = 0; boot < 3; boot++) {
      expect(backend.boots).toHaveLength(1);
      backend.boots[0]!.succeed();
      await settle();
    }
    expect(served).toEqual(['a', 'b', 'c']);
  });

  test('a waiter whose time is up is refused with the reason, and leaves the line', async () => {
    const made = pool();
    const late = new AbortController();
    const gone = made.take(late.signal);
    const stays = made.take(never);
    late.abort(new Error('too late'));
    await expect(gone).rejects.toThrow('too late');
    backend.boots[0]!.succeed();
    expect((await stays).sandbox.id).toBe('1');
    expect(made.status()).toMatchObject({ waiting: 0, taken: 1 });
  });

  test('nobody waits whose time is up already', async () => {
    const made = pool();
    await expect(made.take(AbortSignal.abort(new Error('late')))).rejects.toThrow('late');
    expect(backend.boots).toHaveLength(0);
  });
});

describe('a cold start that was asked for', () => {
  test('boots its own though others are warm', async () => {
    const made = await warm();
    const call = made.take(never, true);
    expect(backend.boots).toHaveLength(1);
    const own = backend.boots[0]!.succeed();
    expect(await call).toEqual({ sandbox: own, start: 'cold' });
    expect(made.status()).toMatchObject({ ready: 2, taken: 1 });
  });

  test('takes the place of a warm one when the pool is full', async () => {
    const made = await warm({ max: 2 });
    const call = made.take(never, true);
    await settle();
    expect(backend.alive).toHaveLength(1);
    backend.boots[0]!.succeed();
    expect((await call).start).toBe('cold');
  });

  test('a sandbox whose caller left meanwhile goes to whoever waits', async () => {
    const made = pool();
    const leaves = new AbortController();
    const gone = made.take(leaves.signal, true);
    const stays = made.take(never);
    leaves.abort(new Error('left'));
    await expect(gone).rejects.toThrow('left');
    const own = backend.boots[0]!.succeed();
    expect((await stays).sandbox).toBe(own);
  });

  test('a sandbox whose caller left meanwhile goes to the pool when nobody waits', async () => {
    const made = pool({ target: 1 });
    const leaves = new AbortController();
    const gone = made.take(leaves.signal, true);
    const own = backend.boots[0]!;
    leaves.abort(new Error('left'));
    await expect(gone).rejects.toThrow('left');
    const sandbox = own.succeed();
    await settle();
    expect(sandbox.destroyed).toBe(0);
    expect(await made.take(never)).toEqual({ sandbox, start: 'warm' });
  });

  test('is refused with the reason when its boot fails', async () => {
    const made = pool();
    const call = made.take(never, true);
    backend.boots[0]!.fail(new GatewayError('isolation_unavailable', 'no image'));
    await expect(call).rejects.toMatchObject({ code: 'isolation_unavailable' });
  });

  test('asked for during back-off, boots when that is over', async () => {
    const made = await warm();
    const failing = made.take(never, true);
    backend.boots[0]!.fail();
    await expect(failing).rejects.toThrow('no engine');
    const call = made.take(never, true);
    expect(backend.boots).toHaveLength(0);
    await clock.advance(100);
    expect(backend.boots).toHaveLength(1);
    backend.boots[0]!.succeed();
    expect((await call).start).toBe('cold');
  });
});

describe('what is warm', () => {
  test('is replaced when it dies, removed from its engine, and never handed out', async () => {
    const made = await warm();
    const [dead, alive] = backend.sandboxes;
    dead!.die();
    await settle();
    expect(dead!.destroyed).toBe(1);
    expect((await made.take(never)).sandbox).toBe(alive);
    expect(backend.boots).toHaveLength(1);
  });

  test('is replaced at its greatest age', async () => {
    const made = await warm({ maxAgeMs: 1_000 });
    await clock.advance(999);
    expect(backend.alive).toHaveLength(2);
    backend.auto = true;
    await clock.advance(1);
    expect(backend.sandboxes.map(({ destroyed }) => destroyed)).toEqual([1, 1, 0, 0]);
    expect(made.status().ready).toBe(2);
  });

  test('is replaced at its greatest age in a full pool too', async () => {
    const made = await warm({ maxAgeMs: 1_000, max: 2 });
    backend.auto = true;
    await clock.advance(1_001);
    expect(made.status().ready).toBe(2);
    expect(backend.alive).toHaveLength(2);
  });

  test('shrinks to the minimum when nobody has called for long', async () => {
    const made = await warm({ min: 1, target: 3, idleMs: 1_000 });
    backend.auto = true;
    await (await made.take(never)).sandbox.destroy();
    await clock.advance(500);
    expect(made.status().ready).toBe(3);
    await clock.advance(500);
    expect(made.status().ready).toBe(1);
    expect(backend.alive).toHaveLength(1);
    expect(clock.pendingTimers).toBe(1);
  });

  test('is counted until its caller has destroyed it', async () => {
    const made = await warm();
    const { sandbox } = await made.take(never);
    expect(made.status().taken).toBe(1);
    await sandbox.destroy();
    await settle();
    expect(made.status().taken).toBe(0);
    expect(backend.sandboxes[0]!.destroyed).toBe(1);
  });
});

describe('an engine that fails', () => {
  test('is left alone for longer and longer, and used again when it works', async () => {
    const made = pool({ min: 1 });
    made.pump();
    for (const pauseMs of [100, 200, 400, 800]) {
      backend.boots[0]!.fail();
      await clock.advance(pauseMs - 1);
      expect(backend.boots).toHaveLength(0);
      await clock.advance(1);
      expect(backend.boots).toHaveLength(1);
    }
    expect(made.isReady).toBe(false);
    expect(made.lastError).toMatchObject({ code: 'engine_unavailable', message: 'no engine' });
    backend.boots[0]!.succeed();
    await settle();
    expect(made.isReady).toBe(true);
    expect(made.status()).toMatchObject({ ready: 1, bootFailures: 4, lastError: null });
    expect(reported).toHaveLength(4);
    backend.sandboxes[0]!.die();
    await settle();
    expect(backend.boots).toHaveLength(1);
  });

  test('does not lose the callers who wait', async () => {
    const made = pool();
    const call = made.take(never);
    backend.boots[0]!.fail();
    await clock.advance(100);
    backend.boots[0]!.succeed();
    expect((await call).start).toBe('cold');
  });

  test('is given up on when a boot takes too long', async () => {
    const made = pool({ min: 1 });
    made.pump();
    const { signal } = backend.boots[0]!;
    await clock.advance(5_000);
    expect(signal.aborted).toBe(true);
    expect(made.lastError?.message).toBe('A python sandbox was not ready within 5000 ms.');
    await clock.advance(100);
    expect(backend.boots).toHaveLength(1);
  });

  test('that cannot destroy is reported, and the place is free again', async () => {
    const made = await warm({ min: 1, target: 1, maxAgeMs: 1_000 });
    backend.destroyFails = true;
    backend.auto = true;
    await clock.advance(1_000);
    expect(reported).toHaveLength(1);
    expect(made.status().ready).toBe(1);
    expect(budget.allowed).toBe(4);
  });
});
