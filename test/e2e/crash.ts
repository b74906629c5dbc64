import { expect, test } from 'vitest';
import { type Engine, newInstanceId } from '../engines.ts';
import { Caller, ENDLESS } from './calls.ts';
import {
  cronium,
  GatewayProcess,
  instanceIdOf,
  leftOf,
  settledTraces,
  TempDir,
  tracesOf,
} from './processes.ts';

/** What a gateway that was killed leaves, and who may touch it. */
export function crashSuite(engine: Engine): void {
  const { mode } = engine;

  test('after SIGKILL with warm sandboxes and a running call, the next start removes exactly its own', async () => {
    using dir = new TempDir();
    const other = await engine.open(newInstanceId());
    try {
      const never = new AbortController().signal;
      const spec = { memoryBytes: 2 ** 27, cpus: 0.5, pids: 32, tmpBytes: 2 ** 20, runBytes: 2 ** 20 };
      const sandbox = await other.backend.create({ ...spec, runtime: 'bash' }, never);
      const others = await other.traces();
      {
        await using gateway = new GatewayProcess({ dataDir: dir.path, mode });
        const caller = await Caller.of(await gateway.warm(), dir.path);
        await caller.deploy('endless', ENDLESS);
        const { response } = await caller.begin('endless');
        gateway.signal('SIGKILL');
        await gateway.ended;
        await expect(response).rejects.toThrow();
      }
      const left = await tracesOf(dir.path);
      expect(left).not.toEqual([]);
      await using next = new GatewayProcess({ dataDir: dir.path, mode });
      const caller = await Caller.of(await next.warm(), dir.path);
      await caller.deploy('quick', 'echo quick');
      expect(await (await caller.fetch('/e/quick')).text()).toBe('quick\n');
      expect(idsIn(await tracesOf(dir.path)).intersection(idsIn(left))).toEqual(new Set());
      expect((await other.traces()).sandboxes).toEqual(expect.arrayContaining(others.sandboxes));
      next.signal('SIGTERM');
      expect((await next.ended).code).toBe(0);
      expect(await leftOf(dir.path)).toEqual([]);
      expect((await other.traces()).sandboxes).toEqual(expect.arrayContaining(others.sandboxes));
      await sandbox.destroy();
    } finally {
      await other.backend.close();
    }
  });

  test('a second gateway in the same DATA_DIR is refused, and the first is not disturbed', async () => {
    using dir = new TempDir();
    await using gateway = new GatewayProcess({ dataDir: dir.path, mode });
    await gateway.warm();
    const before = await settledTraces(dir.path);
    const second = await cronium(['serve'], { DATA_DIR: dir.path, ISOLATION_MODE: mode, PORT: '0' });
    expect(second).toMatchObject({
      code: 1,
      stderr: `cronium: DATA_DIR: another gateway runs in ${dir.path}.\n`,
    });
    expect((await tracesOf(dir.path)).sort()).toEqual(before);
    gateway.signal('SIGTERM');
    expect((await gateway.ended).code).toBe(0);
    expect(await leftOf(dir.path)).toEqual([]);
  });

  test('two gateways on one engine do not touch each other', async () => {
    using dirA = new TempDir();
    using dirB = new TempDir();
    await using a = new GatewayProcess({ dataDir: dirA.path, mode });
    const callerA = await Caller.of(await a.warm(), dirA.path);
    await callerA.deploy('here', 'echo a');
    const tracesOfA = await settledTraces(dirA.path);
    {
      await using b = new GatewayProcess({ dataDir: dirB.path, mode });
      await b.warm();
      expect(instanceIdOf(dirB.path)).not.toBe(instanceIdOf(dirA.path));
      b.signal('SIGTERM');
      expect((await b.ended).code).toBe(0);
    }
    expect(await leftOf(dirB.path)).toEqual([]);
    expect((await tracesOf(dirA.path)).sort()).toEqual(tracesOfA);
    expect(await (await callerA.fetch('/e/here')).text()).toBe('a\n');
    a.signal('SIGTERM');
    expect((await a.ended).code).toBe(0);
    expect(await leftOf(dirA.path)).toEqual([]);
  });
}

/** Containers by id and staged directories by name: what cannot be the same in two runs. */
function idsIn(traces: readonly string[]): Set<string> {
  return new Set(
    traces.map((trace) => /^(container \w+|directory \S+)/.exec(trace)?.[0] ?? '').filter(Boolean),
  );
}
