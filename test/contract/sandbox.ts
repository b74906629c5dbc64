import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { RUNTIMES, type Runtime } from '../../src/core/event.ts';
import type { Sandbox } from '../../src/core/sandbox.ts';
import type { Engine, OpenEngine } from '../engines.ts';
import { eventuallyNone } from '../traces.ts';
import { ANSWERS_42, answerOf, callOf, NEVER_ENDS, runIn, smallSpec } from './calls.ts';
import { limitTests } from './sandbox-limits.ts';

const never = new AbortController().signal;
/** The kernel gives a user 128 of them, unless its administrator has it give more. */
const TAKES_ALL_INOTIFY = `
import ctypes, time
def handler(event, context):
    while ctypes.CDLL(None).inotify_init1(0) >= 0:
        pass
    print("full", flush=True)
    time.sleep(600)
`;
const TAKES_ONE_INOTIFY = `
import ctypes, getpass, os
def handler(event, context):
    if ctypes.CDLL(None).inotify_init1(0) < 0:
        raise OSError("no inotify instance is left")
    os.environ.pop("USER", None)
    return getpass.getuser()
`;
const CRASHING_GATEWAY = fileURLToPath(new URL('crashing-gateway.ts', import.meta.url));

/** What src/core/sandbox.ts promises of every SandboxBackend. A test that leaves anything of a sandbox behind fails. */
export function sandboxContract(engine: Engine): void {
  let open: OpenEngine;

  beforeAll(async () => {
    open = await engine.open();
  });

  afterEach(async () => {
    expect(await eventuallyNone(async () => (await open.traces()).sandboxes)).toEqual([]);
  });

  afterAll(async () => {
    await open?.backend.close();
    if (open) expect(await open.traces()).toEqual({ sandboxes: [], gateway: [] });
  });

  const create = (runtime: Runtime = 'bash', signal = never) =>
    open.backend.create(smallSpec(runtime), signal);

  /** Starts a call that never ends, and waits until it runs. */
  async function start(sandbox: Sandbox, runtime: Runtime, signal = never) {
    const running = Promise.withResolvers<void>();
    const heard = runIn(sandbox, callOf(NEVER_ENDS[runtime]), signal, () => running.resolve());
    heard.catch(() => {});
    await running.promise;
    return heard;
  }

  test.each(RUNTIMES)('%s boots, runs one call and no second', async (runtime) => {
    const sandbox = await create(runtime);
    try {
      expect(sandbox.isolation).toBe(open.backend.isolation);
      expect(answerOf(await runIn(sandbox, callOf(ANSWERS_42[runtime])))).toBe(42);
      await expect(runIn(sandbox, callOf(ANSWERS_42[runtime]))).rejects.toThrow(/has run a call already/);
    } finally {
      await sandbox.destroy();
    }
    expect(await sandbox.closed).toBe('destroyed');
  });

  test('no two sandboxes have the same id', async () => {
    const sandboxes = await Promise.all([create(), create(), create()]);
    expect(new Set(sandboxes.map(({ id }) => id)).size).toBe(3);
    await Promise.all(sandboxes.map((sandbox) => sandbox.destroy()));
  });

  test.each(RUNTIMES)('%s is destroyed before a run, and runs no more', async (runtime) => {
    const sandbox = await create(runtime);
    await sandbox.destroy();
    expect(await sandbox.closed).toBe('destroyed');
    expect((await open.traces()).sandboxes).toEqual([]);
    await expect(runIn(sandbox, callOf(ANSWERS_42[runtime]))).rejects.toThrow(/has been destroyed/);
  });

  test.each(RUNTIMES)('%s is destroyed during a run, which ends then', async (runtime) => {
    const sandbox = await create(runtime);
    // In an object: a promise that an async function returns would be waited for.
    const running = { heard: start(sandbox, runtime).then((heard) => heard) };
    await Promise.race([running.heard, new Promise((resolve) => setTimeout(resolve, 500))]);
    await sandbox.destroy();
    expect((await open.traces()).sandboxes).toEqual([]);
    const { outcome } = await running.heard;
    expect(outcome).toMatchObject({ status: 'failed', failure: { code: 'function_error' } });
  });

  // Who is not root can be no other user.
  const hasUsers = engine.name !== 'bubblewrap as an ordinary user';
  test.runIf(hasUsers)('what the kernel counts by user, a sandbox uses up for itself alone', async () => {
    const [greedy, neighbour] = await Promise.all([create('python'), create('python')]);
    try {
      const full = Promise.withResolvers<void>();
      const running = runIn(greedy, callOf(TAKES_ALL_INOTIFY), never, () => full.resolve());
      await Promise.race([full.promise, running]);
      expect(answerOf(await runIn(neighbour, callOf(TAKES_ONE_INOTIFY)))).toBe('sandbox');
      await greedy.destroy();
      await running;
    } finally {
      await Promise.all([greedy.destroy(), neighbour.destroy()]);
    }
  });

  test('is destroyed once, however often that is asked, at once or one after the other', async () => {
    const sandbox = await create();
    const asked = [sandbox.destroy(), sandbox.destroy(), sandbox.destroy()];
    await Promise.all(asked);
    await sandbox.destroy();
    expect(await sandbox.closed).toBe('destroyed');
    expect((await open.traces()).sandboxes).toEqual([]);
  });

  test('says that it died when it is killed from outside, warm', async () => {
    const sandbox = await create();
    await open.killFromOutside(sandbox);
    expect(await sandbox.closed).toBe('died');
    await sandbox.destroy();
  });

  test.each(RUNTIMES)('%s: a run ends when its sandbox is killed from outside', async (runtime) => {
    const sandbox = await create(runtime);
    const running = Promise.withResolvers<void>();
    const heard = runIn(sandbox, callOf(NEVER_ENDS[runtime]), never, () => running.resolve());
    await running.promise;
    await open.killFromOutside(sandbox);
    expect((await heard).outcome).toMatchObject({ status: 'failed', failure: { code: 'function_error' } });
    expect(await sandbox.closed).toBe('died');
    await sandbox.destroy();
  });

  test('is not made when the signal has aborted already', async () => {
    const reason = new Error('too late');
    await expect(create('bash', AbortSignal.abort(reason))).rejects.toBe(reason);
    expect((await open.traces()).sandboxes).toEqual([]);
  });

  test('leaves nothing when it is aborted at any moment of its creation', { timeout: 60_000 }, async () => {
    const reason = new Error('changed my mind');
    let rejected = 0;
    for (const delayMs of [0, 1, 3, 8, 15, 30, 60, 120]) {
      const controller = new AbortController();
      const timer = setTimeout(() => controller.abort(reason), delayMs);
      const made = await create('nodejs', controller.signal).catch((error) => {
        expect(error).toBe(reason);
        rejected += 1;
      });
      clearTimeout(timer);
      if (made) await made.destroy();
      expect((await open.traces()).sandboxes).toEqual([]);
    }
    expect(rejected).toBeGreaterThanOrEqual(2);
  });

  test.each(RUNTIMES)(
    '%s: a run that is aborted rejects with the reason and leaves nothing',
    async (runtime) => {
      const sandbox = await create(runtime);
      const controller = new AbortController();
      const reason = new Error('the client is gone');
      const running = Promise.withResolvers<void>();
      const heard = runIn(sandbox, callOf(NEVER_ENDS[runtime]), controller.signal, () => running.resolve());
      await running.promise;
      controller.abort(reason);
      await expect(heard).rejects.toBe(reason);
      await sandbox.destroy();
      expect((await open.traces()).sandboxes).toEqual([]);
    },
  );

  test('is gone after close, with all that the backend made', async () => {
    const own = await engine.open();
    const sandboxes = await Promise.all(
      RUNTIMES.map((runtime) => own.backend.create(smallSpec(runtime), never)),
    );
    await own.backend.close();
    expect(await own.traces()).toEqual({ sandboxes: [], gateway: [] });
    await Promise.all(sandboxes.map(({ closed }) => closed));
    await Promise.all(sandboxes.map((sandbox) => sandbox.destroy()));
  });

  test('what a killed gateway left is swept, and nothing of another gateway', {
    timeout: 90_000,
  }, async () => {
    const others = await create();
    const crashed = await engine.open();
    await crashed.backend.close();
    const args = [CRASHING_GATEWAY, engine.name, crashed.instanceId];
    const gateway = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(gateway.stdout, 'data');
    expect((await crashed.traces()).sandboxes.length).toBeGreaterThanOrEqual(2);
    gateway.kill('SIGKILL');
    await once(gateway, 'exit');

    const restarted = await engine.open(crashed.instanceId);
    const swept = await restarted.backend.sweep();
    // What dies with its gateway needs no sweeping.
    expect(swept).toBe(engine.mode === 'bubblewrap' ? 0 : 2);
    expect(await eventuallyNone(async () => (await restarted.traces()).sandboxes)).toEqual([]);
    await restarted.backend.close();
    expect(await restarted.traces()).toEqual({ sandboxes: [], gateway: [] });

    expect(answerOf(await runIn(others, callOf(ANSWERS_42.bash)))).toBe(42);
    await others.destroy();
  });

  limitTests(() => open.backend);
}
