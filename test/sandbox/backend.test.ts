import { type Duplex, duplexPair } from 'node:stream';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Sandbox } from '../../src/core/sandbox.ts';
import { GatewayError } from '../../src/errors.ts';
import { AgentBackend } from '../../src/sandbox/backend.ts';
import { encodeJsonFrame, FrameType } from '../../src/sandbox/frames.ts';
import type { Launched, Launcher } from '../../src/sandbox/launcher.ts';
import { call, END, Listener, never, READY, result, settle } from './peer.ts';

const spec = {
  runtime: 'python',
  memoryBytes: 64 * 2 ** 20,
  cpus: 1,
  pids: 8,
  tmpBytes: 1,
  runBytes: 1,
} as const;

/** Starts nothing; the agents are in the hands of the test. */
class FakeLauncher implements Launcher {
  readonly isolation = 'fake';
  readonly kernel = 'gvisor';
  readonly level = 'enhanced';
  killed = 0;
  said = '';
  engineHangs = false;
  outOfMemory = false;
  oomAsked = 0;
  failure: unknown;
  agent: Duplex | undefined;
  channel: Duplex | undefined;
  readonly ended = Promise.withResolvers<void>();

  async launch(): Promise<Launched> {
    if (this.failure !== undefined) throw this.failure;
    const [ours, theirs] = duplexPair();
    this.channel = ours;
    this.agent = theirs.resume();
    theirs.on('error', () => {});
    return {
      image: null,
      id: 'one',
      channel: ours,
      ended: this.ended.promise,
      stderr: () => this.said,
      kill: async () => {
        this.killed += 1;
        ours.destroy();
      },
      ranOutOfMemory: async () => {
        this.oomAsked += 1;
        return this.engineHangs ? new Promise<boolean>(() => {}) : this.outOfMemory;
      },
    };
  }

  async sweep(): Promise<number> {
    return 0;
  }

  async close(): Promise<void> {}
}

let launcher: FakeLauncher;
let backend: AgentBackend;

beforeEach(() => {
  launcher = new FakeLauncher();
  backend = new AgentBackend(launcher);
});

async function booted(): Promise<Sandbox> {
  const creating = backend.create(spec, never);
  await settle();
  launcher.agent!.write(READY);
  return creating;
}

const ends = (end: object) => encodeJsonFrame(FrameType.end, end);
const broke = { code: 'function_error', message: 'it broke' };

describe('booting', () => {
  test('gives a sandbox when its agent has answered', async () => {
    const sandbox = await booted();
    expect(sandbox).toMatchObject({ id: 'one', isolation: 'fake', level: 'enhanced' });
    expect(backend.kernel).toBe('gvisor');
    expect(launcher.killed).toBe(0);
  });

  test('that fails leaves nothing, and tells what the sandbox said', async () => {
    launcher.said = 'python3: not found\n';
    const creating = backend.create(spec, never);
    await settle();
    launcher.agent!.end();
    await expect(creating).rejects.toMatchObject({
      code: 'engine_unavailable',
      message: 'A python sandbox did not boot: the sandbox ended; it said: python3: not found.',
    });
    expect(launcher.killed).toBe(1);
  });

  test('whose supervisor has ended fails, though something still holds the channel', async () => {
    const creating = backend.create(spec, never);
    await settle();
    launcher.ended.resolve();
    await expect(creating).rejects.toMatchObject({ code: 'engine_unavailable' });
    expect(launcher.killed).toBe(1);
  });

  test('that is called off leaves nothing', async () => {
    const late = new AbortController();
    const creating = backend.create(spec, late.signal);
    await settle();
    late.abort(new Error('late'));
    await expect(creating).rejects.toThrow('late');
    expect(launcher.killed).toBe(1);
  });

  test.for([
    [new Error('connect ECONNREFUSED'), 'engine_unavailable'],
    [new GatewayError('isolation_unavailable', 'no image'), 'isolation_unavailable'],
  ] as const)('that the engine refuses says why (%s)', async ([failure, code]) => {
    launcher.failure = failure;
    await expect(backend.create(spec, never)).rejects.toMatchObject({ code });
  });
});

describe('a sandbox', () => {
  test('that dies while warm says so', async () => {
    const sandbox = await booted();
    launcher.agent!.end();
    expect(await sandbox.closed).toBe('died');
  });

  test('that speaks while warm has died', async () => {
    const sandbox = await booted();
    launcher.agent!.write(END);
    expect(await sandbox.closed).toBe('died');
  });

  test('that died right after its greeting has died', async () => {
    const creating = backend.create(spec, never);
    await settle();
    launcher.agent!.end(READY);
    const sandbox = await creating;
    expect(await sandbox.closed).toBe('died');
  });

  test('is destroyed once, however often that is asked', async () => {
    const sandbox = await booted();
    const first = sandbox.destroy();
    expect(sandbox.destroy()).toBe(first);
    await first;
    expect(launcher.killed).toBe(1);
    expect(await sandbox.closed).toBe('destroyed');
  });

  test('runs once, and not after it was destroyed', async () => {
    const sandbox = await booted();
    const outcome = sandbox.run(call(), new Listener(), never);
    launcher.agent!.write(Buffer.concat([result('1'), END]));
    expect(await outcome).toMatchObject({ result: { value: 1 } });
    await expect(sandbox.run(call(), new Listener(), never)).rejects.toThrow('has run a call already');
    await sandbox.destroy();
    const other = await booted();
    await other.destroy();
    await expect(other.run(call(), new Listener(), never)).rejects.toThrow('has been destroyed');
  });

  test('two calls at once: the second is refused and the first goes on', async () => {
    const sandbox = await booted();
    const first = sandbox.run(call(), new Listener(), never);
    await expect(sandbox.run(call(), new Listener(), never)).rejects.toThrow('has run a call already');
    launcher.agent!.write(Buffer.concat([result('1'), END]));
    expect(await first).toMatchObject({ status: 'succeeded' });
  });

  test('destroyed while it runs has failed its call', async () => {
    const sandbox = await booted();
    const outcome = sandbox.run(call(), new Listener(), never);
    await sandbox.destroy();
    expect(await outcome).toMatchObject({ failure: { code: 'function_error' } });
  });

  test('whose call is aborted is destroyed by that', async () => {
    const sandbox = await booted();
    await expect(sandbox.run(call(), new Listener(), AbortSignal.abort(new Error('late')))).rejects.toThrow(
      'late',
    );
    expect(launcher.killed).toBe(1);
    await sandbox.destroy();
    expect(launcher.killed).toBe(1);
  });
});

describe('a function that was killed', () => {
  test.for<[string, object | undefined, string, number]>([
    ['by SIGKILL', { exit: { code: null, signal: 'SIGKILL' } }, 'out_of_memory', 1],
    ['with its whole sandbox', undefined, 'out_of_memory', 1],
    ['by nobody: it ended by itself', { exit: { code: 1, signal: null } }, 'function_error', 0],
  ])('%s: the engine is asked whether memory was the reason', async ([, end, code, asked]) => {
    launcher.outOfMemory = true;
    const sandbox = await booted();
    const outcome = sandbox.run(call(), new Listener(), never);
    if (end === undefined) launcher.agent!.end();
    else launcher.agent!.write(ends({ status: 'error', error: broke, ...end }));
    expect(await outcome).toMatchObject({ failure: { code } });
    expect(launcher.oomAsked).toBe(asked);
  });

  test('is no call that waits for an engine that hangs, beyond its end', async () => {
    launcher.engineHangs = true;
    const sandbox = await booted();
    const caller = new AbortController();
    const outcome = sandbox.run(call(), new Listener(), caller.signal);
    launcher.agent!.end();
    await expect.poll(() => launcher.oomAsked).toBe(1);
    caller.abort(new Error('its time ran out'));
    expect(await outcome).toMatchObject({ failure: { code: 'function_error' } });
  });

  test('for another reason is a function error', async () => {
    const sandbox = await booted();
    const outcome = sandbox.run(call(), new Listener(), never);
    launcher.agent!.write(ends({ status: 'error', error: broke, exit: { code: null, signal: 'SIGKILL' } }));
    expect(await outcome).toMatchObject({ failure: broke });
  });
});
