import { globSync } from 'node:fs';
import { rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { childrenOf, signalProcess } from '../../src/sandbox/process-tree.ts';
import { smallSpec } from '../contract/calls.ts';
import type { Engine, OpenEngine } from '../engines.ts';
import { onEngine } from '../on-engine.ts';
import { eventuallyNone } from '../traces.ts';

const BOOTS = 30;
/** Longer than bwrap takes to make a sandbox, so that every moment of it is hit. */
const BOOTED_WITHIN_MS = 16;
const never = new AbortController().signal;

/** Each at its own moment of a boot. */
async function boots(engine: Engine, boot: (open: OpenEngine, afterMs: number) => Promise<void>) {
  const open = await engine.open();
  try {
    for (let i = 0; i < BOOTS; i++) await boot(open, (i * BOOTED_WITHIN_MS) / BOOTS);
    expect(await eventuallyNone(async () => (await open.traces()).sandboxes)).toEqual([]);
  } finally {
    await open.backend.close();
  }
}

function suite(engine: Engine): void {
  test('a supervisor that is killed while it boots leaves nothing behind, and the boot fails at once', () =>
    boots(engine, async ({ backend }, afterMs) => {
      const creating = backend.create(smallSpec('bash'), never);
      const ended = creating.then(
        (sandbox) => sandbox.closed.finally(() => sandbox.destroy()),
        (error: unknown) => expect(error).toMatchObject({ code: 'engine_unavailable' }),
      );
      await expect.poll(() => childrenOf(process.pid), { interval: 1 }).not.toEqual([]);
      await sleep(afterMs);
      for (const pid of childrenOf(process.pid)) signalProcess(pid, 'SIGKILL');
      await ended;
    }));

  test('a boot that is called off leaves nothing behind', () =>
    boots(engine, async ({ backend }, afterMs) => {
      const calledOff = new AbortController();
      const creating = backend.create(smallSpec('bash'), calledOff.signal);
      const ended = creating.then(
        (sandbox) => sandbox.destroy(),
        () => {},
      );
      await sleep(afterMs);
      calledOff.abort(new Error('no longer wanted'));
      await ended;
    }));
}

await onEngine('bubblewrap with control groups', (engine) => {
  suite(engine);

  test('a boot for which there is no process leaves no control group behind', async () => {
    const { backend, instanceId, traces } = await engine.open();
    const [staged] = globSync(join(tmpdir(), `cronium-${instanceId}-*`));
    await rm(join(staged!, 'sockets', 'pairs'));
    await expect(backend.create(smallSpec('bash'), never)).rejects.toMatchObject({
      code: 'engine_unavailable',
    });
    expect((await traces()).sandboxes).toEqual([]);
    await backend.close();
  });

  test('a close that fails in one thing ends all others', async () => {
    const { backend, instanceId, traces } = await engine.open();
    for (const path of globSync(`/sys/fs/cgroup/{,*/,**/}cronium-${instanceId}`)) await rmdir(path);
    await expect(backend.close()).rejects.toThrow('ENOENT');
    expect((await traces()).gateway).toEqual([]);
  });
});
await onEngine('bubblewrap with the resource manager', suite);
