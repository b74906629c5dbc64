import { beforeEach, describe, expect, test } from 'vitest';
import { Pools, type PoolsOptions } from '../../src/core/pools.ts';
import { FakeBackend, FakeClock, never, settle, spec } from './fakes.ts';

let backend: FakeBackend;
let clock: FakeClock;

beforeEach(() => {
  backend = new FakeBackend();
  clock = new FakeClock();
});

function pools(over: Partial<PoolsOptions> = {}): Pools {
  return new Pools({
    backend,
    clock,
    bootTimeoutMs: 5_000,
    random: () => 0,
    onEngineError: () => {},
    targets: { min: 1, target: 1, max: 10, idleMs: 60_000, maxAgeMs: 600_000 },
    maxBooting: 2,
    maxSandboxes: 4,
    ...over,
  });
}

const python = spec({ runtime: 'python' });
const bash = spec({ runtime: 'bash' });
const nodejs = spec({ runtime: 'nodejs' });

async function warmed(over: Partial<PoolsOptions>, ...specs: (typeof python)[]): Promise<Pools> {
  const made = pools(over);
  backend.auto = true;
  for (const one of specs) made.keepWarm(one);
  await settle();
  backend.auto = false;
  return made;
}

describe('pools', () => {
  test('of one size share a pool; another size or language has its own', async () => {
    const made = await warmed({}, python);
    expect((await made.take(python, never)).start).toBe('warm');
    made.take(spec({ memoryBytes: 2 ** 28 }), never).catch(() => {});
    made.take(bash, never).catch(() => {});
    expect(made.status().map(({ key }) => key)).toEqual([
      'python/128mb/0.5cpu',
      'python/256mb/0.5cpu',
      'bash/128mb/0.5cpu',
    ]);
    await made.close();
  });

  test('boot only so many at once, all together', async () => {
    const made = pools();
    for (const one of [python, bash, nodejs]) made.keepWarm(one);
    expect(backend.boots).toHaveLength(2);
    backend.boots[0]!.succeed();
    await settle();
    expect(backend.boots.map((boot) => boot.spec.runtime)).toEqual(['bash', 'nodejs']);
    expect(made.unready()).toEqual(['bash/128mb/0.5cpu: booting', 'nodejs/128mb/0.5cpu: booting']);
    await made.close();
  });

  test('serve those who wait before they fill up', async () => {
    const made = pools({ maxBooting: 1 });
    made.keepWarm(python);
    made.keepWarm(bash);
    const call = made.take(nodejs, never);
    expect(backend.boots.map((boot) => boot.spec.runtime)).toEqual(['python']);
    backend.boots[0]!.succeed();
    await settle();
    expect(backend.boots.map((boot) => boot.spec.runtime)).toEqual(['nodejs']);
    backend.boots[0]!.succeed();
    expect((await call).start).toBe('cold');
    await made.close();
  });

  test('name the reason when a language does not boot', async () => {
    const made = pools();
    made.keepWarm(python);
    backend.boots[0]!.fail(new Error('no image'));
    await settle();
    expect(made.lastError(python)).toMatchObject({ code: 'engine_unavailable', message: 'no image' });
    expect(made.lastError(bash)).toBeNull();
    expect(made.unready()).toEqual(['python/128mb/0.5cpu: no image']);
    await made.close();
  });
});

describe('with every sandbox allowed in existence', () => {
  test('a caller gets the place of a warm one of another pool, the least recently used', async () => {
    const made = await warmed({ maxSandboxes: 2 }, python, bash);
    const [idle, used] = backend.sandboxes;
    await (await made.take(bash, never)).sandbox.destroy();
    await settle();
    backend.boots[0]!.succeed();
    await settle();
    expect(used!.destroyed).toBe(1);
    const call = made.take(nodejs, never);
    await settle();
    expect(idle!.destroyed).toBe(1);
    expect(backend.boots.map((boot) => boot.spec.runtime)).toEqual(['nodejs']);
    expect(backend.alive).toHaveLength(1);
    backend.boots[0]!.succeed();
    expect((await call).start).toBe('cold');
    await made.close();
  });

  test('one that is still being destroyed is counted', async () => {
    const made = await warmed({ maxSandboxes: 1 }, python);
    const gate = Promise.withResolvers<void>();
    backend.destroyGate = gate.promise;
    const call = made.take(bash, never);
    await settle();
    expect(backend.boots).toHaveLength(0);
    gate.resolve();
    await settle();
    backend.boots[0]!.succeed();
    expect((await call).start).toBe('cold');
    await made.close();
  });

  test('no more warm ones are given up than callers need', async () => {
    const made = await warmed({ maxSandboxes: 4, maxBooting: 4 }, python, bash, nodejs);
    const other = spec({ memoryBytes: 2 ** 28 });
    const calls = [made.take(other, never), made.take(other, never)];
    await settle();
    expect(backend.boots).toHaveLength(2);
    expect(backend.alive).toHaveLength(2);
    backend.boots[0]!.succeed();
    await settle();
    expect(backend.alive).toHaveLength(3);
    backend.boots[0]!.succeed();
    await Promise.all(calls);
    await settle();
    expect(backend.alive.filter((one) => one.spec !== other)).toHaveLength(2);
    await made.close();
  });

  test('a cold start that was asked for takes the place of a warm one of its own pool', async () => {
    const made = await warmed({ maxSandboxes: 1 }, python);
    const call = made.take(python, never, true);
    await settle();
    expect(backend.sandboxes[0]!.destroyed).toBe(1);
    expect(backend.boots).toHaveLength(1);
    const own = backend.boots[0]!.succeed();
    expect(await call).toEqual({ sandbox: own, start: 'cold' });
    await made.close();
  });

  test('a caller is served when a sandbox in use is destroyed', async () => {
    const made = pools({ maxSandboxes: 1 });
    backend.auto = true;
    const first = await made.take(python, never);
    const call = made.take(bash, never);
    await settle();
    expect(backend.sandboxes).toHaveLength(1);
    await first.sandbox.destroy();
    expect((await call).start).toBe('cold');
    await made.close();
  });
});

describe('closed pools', () => {
  test('refuse calls of every size, and boot nothing more', async () => {
    const made = await warmed({}, python);
    await made.close();
    await expect(made.take(python, never)).rejects.toMatchObject({ code: 'shutting_down' });
    await expect(made.take(bash, never)).rejects.toMatchObject({ code: 'shutting_down' });
    made.keepWarm(nodejs);
    expect(backend.boots).toHaveLength(0);
    expect(backend.alive).toHaveLength(0);
    expect(clock.pendingTimers).toBe(0);
  });
});
