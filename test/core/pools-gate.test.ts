import { beforeEach, expect, test } from 'vitest';
import { Pools } from '../../src/core/pools.ts';
import { GatewayError } from '../../src/errors.ts';
import { FakeBackend, FakeClock, never, settle, spec } from './fakes.ts';

const REFUSAL = new GatewayError('isolation_unavailable', 'It failed its self-test.');

let backend: FakeBackend;
let clock: FakeClock;
let pools: Pools;
let disturbed: string[];

beforeEach(() => {
  backend = new FakeBackend();
  backend.auto = true;
  clock = new FakeClock();
  disturbed = [];
  pools = make({ maxBooting: 4, maxSandboxes: 10 });
});

const OPTIONS = {
  bootTimeoutMs: 5_000,
  random: () => 0,
  onEngineError: () => {},
  targets: { min: 1, target: 1, max: 10, idleMs: 60_000, maxAgeMs: 600_000 },
  maxBooting: 4,
  maxSandboxes: 10,
};
const BACKEND = {
  isolation: 'fake',
  kernel: 'host',
  level: 'basic',
  sweep: async () => 0,
  close: async () => {},
} as const;

function make(limits: { maxBooting: number; maxSandboxes: number }): Pools {
  const made = new Pools({ ...OPTIONS, ...limits, backend, clock });
  made.onDisturbance((runtime) => disturbed.push(runtime));
  return made;
}

const apart = () => pools.bootApart(() => backend.create(spec(), never), never);

test('callers of a held runtime wait until it is let in, and those of another do not', async () => {
  pools.keepWarm(spec());
  pools.hold('python');
  await settle();
  expect(pools.unready()).toEqual(['python: the self-test has not passed yet']);
  let served = 0;
  const held = pools.take(spec(), never).then(() => served++);
  await pools.take(spec({ runtime: 'bash' }), never);
  await settle();
  expect(served).toBe(0);
  pools.admit('python');
  await held;
  await pools.close();
});

test('a held caller who gives up does not wait any longer, and closing turns the others away', async () => {
  pools.hold('python');
  const caller = new AbortController();
  const impatient = pools.take(spec(), caller.signal);
  const patient = pools.take(spec(), never);
  caller.abort(new Error('enough'));
  await expect(impatient).rejects.toThrow('enough');
  await Promise.all([expect(patient).rejects.toMatchObject({ code: 'shutting_down' }), pools.close()]);
  expect(backend.sandboxes).toEqual([]);
});

test('a suspended runtime serves nobody: who waits is refused, what is warm is destroyed, nothing boots', async () => {
  pools.keepWarm(spec());
  await settle();
  const taken = await pools.take(spec(), never);
  backend.auto = false;
  const waiting = pools.take(spec(), never, true);
  await settle();
  pools.suspend('python', REFUSAL);
  await expect(pools.take(spec(), never)).rejects.toBe(REFUSAL);
  await expect(pools.take(spec({ memoryBytes: 2 ** 30 }), never)).rejects.toBe(REFUSAL);
  for (const boot of [...backend.boots]) boot.succeed();
  await expect(waiting).rejects.toBe(REFUSAL);
  await clock.advance(100_000);
  // Who had one before keeps it: the call is under way.
  expect(backend.alive).toEqual([taken.sandbox]);
  expect(backend.boots).toEqual([]);
  // The reason is the self-test's to tell.
  expect(pools.unready()).toEqual([]);

  backend.auto = true;
  pools.admit('python');
  await settle();
  expect((await pools.take(spec(), never)).start).toBe('warm');
  await pools.close();
});

test('other runtimes are served as before', async () => {
  pools.suspend('python', REFUSAL);
  expect((await pools.take(spec({ runtime: 'nodejs' }), never)).start).toBe('cold');
  await pools.close();
});

test('a pool that begins while its runtime is suspended does not boot', async () => {
  pools.suspend('python', REFUSAL);
  pools.keepWarm(spec());
  await settle();
  expect(backend.sandboxes).toEqual([]);
  pools.admit('python');
  await settle();
  expect(backend.alive.length).toBe(1);
  await pools.close();
});

test('a sandbox beside the pools counts as one, and is nobody’s to take', async () => {
  pools = make({ maxBooting: 1, maxSandboxes: 2 });
  const sandbox = await apart();
  pools.keepWarm(spec());
  await settle();
  expect(pools.status()[0]).toMatchObject({ ready: 1, starting: 0 });
  const taken = await pools.take(spec(), never);
  expect(taken.sandbox).not.toBe(sandbox);
  await clock.advance(1_000);
  expect(backend.alive.length).toBe(2);
  await sandbox.destroy();
  await clock.advance(1_000);
  expect(backend.alive.length).toBe(2);
  await pools.close();
});

test('callers come before a sandbox beside the pools, and it comes before a fuller pool', async () => {
  pools = make({ maxBooting: 1, maxSandboxes: 10 });
  backend.auto = false;
  const caller = pools.take(spec(), never);
  const beside = apart();
  pools.keepWarm(spec({ runtime: 'bash' }));
  const order: string[] = [];
  caller.then(() => order.push('caller'));
  beside.then(() => order.push('beside'));
  for (let n = 0; n < 3; n++) {
    expect(backend.boots.length).toBe(1);
    backend.boots[0]!.succeed();
    await settle();
  }
  expect(order).toEqual(['caller', 'beside']);
  await pools.close();
});

test('with every sandbox warm in a pool, one of them makes room', async () => {
  pools = make({ maxBooting: 1, maxSandboxes: 1 });
  pools.keepWarm(spec());
  await settle();
  const sandbox = await apart();
  expect(backend.alive).toEqual([sandbox]);
  await sandbox.destroy();
  await settle();
  expect(pools.status()[0]).toMatchObject({ ready: 1 });
  await pools.close();
});

test('a boot beside the pools that fails gives its room back', async () => {
  pools = make({ maxBooting: 1, maxSandboxes: 1 });
  await expect(pools.bootApart(() => Promise.reject(new Error('no')), never)).rejects.toThrow('no');
  await apart();
  await pools.close();
});

test('a sandbox from another image than the one before is told', async () => {
  const booted = async (image: string) => {
    const sandbox = await backend.create(spec(), never);
    return Object.assign(sandbox, { image });
  };
  const images = ['sha256:a', 'sha256:a', 'sha256:b'];
  const changing = new Pools({
    ...OPTIONS,
    backend: { ...BACKEND, create: () => booted(images.shift()!) },
    clock,
    targets: { ...OPTIONS.targets, min: 0, target: 0 },
  });
  changing.onDisturbance((runtime) => disturbed.push(runtime));
  const seen: number[] = [];
  for (let n = 0; n < 3; n++) {
    await (await changing.take(spec(), never)).sandbox.destroy();
    seen.push(disturbed.length);
  }
  expect(seen).toEqual([0, 0, 1]);
  await changing.close();
});

test('an engine that is back and a warm sandbox that died are told; calls and retirements are not', async () => {
  backend.auto = false;
  pools.keepWarm(spec());
  backend.boots[0]!.fail();
  await clock.advance(1_000);
  const sandbox = backend.boots[0]!.succeed();
  await settle();
  expect(disturbed).toEqual(['python']);
  sandbox.die();
  await settle();
  expect(disturbed).toEqual(['python', 'python']);
  backend.boots[0]!.succeed();
  backend.auto = true;
  await clock.advance(1_000);
  await (await pools.take(spec(), never)).sandbox.destroy();
  await clock.advance(700_000);
  await pools.close();
  expect(disturbed).toEqual(['python', 'python']);
});
