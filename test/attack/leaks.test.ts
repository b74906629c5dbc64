import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { RUNTIMES, type Runtime } from '../../src/core/event.ts';
import { Pools } from '../../src/core/pools.ts';
import { answerOf, callOf, runIn, smallSpec } from '../contract/calls.ts';
import type { Engine, OpenEngine } from '../engines.ts';
import { onEngine } from '../on-engine.ts';
import { eventuallyNone, processesBearing } from '../traces.ts';
import { BASH_FINDS, BASH_PLANTS } from './snippets/leaks-bash.ts';
import { NODEJS_FINDS, NODEJS_PLANTS } from './snippets/leaks-nodejs.ts';
import { PYTHON_FINDS, PYTHON_PLANTS } from './snippets/leaks-python.ts';

const never = new AbortController().signal;
const PLANTS: Readonly<Record<Runtime, string>> = {
  python: PYTHON_PLANTS,
  nodejs: NODEJS_PLANTS,
  bash: BASH_PLANTS,
};
const FINDS: Readonly<Record<Runtime, string>> = {
  python: PYTHON_FINDS,
  nodejs: NODEJS_FINDS,
  bash: BASH_FINDS,
};
/** Where every sandbox may write; nothing else may take a file. */
const WRITABLE = ['/tmp', '/run', '/dev/shm'];

await onEngine('docker+runsc', leakSuite);
await onEngine('docker', leakSuite);
await onEngine('podman', leakSuite);
await onEngine('bubblewrap with control groups', leakSuite);
await onEngine('bubblewrap with the resource manager', leakSuite);

function leakSuite(engine: Engine): void {
  let open: OpenEngine;
  let pools: Pools;

  beforeAll(async () => {
    open = await engine.open();
    pools = new Pools({
      backend: open.backend,
      clock: systemClock,
      bootTimeoutMs: 30_000,
      random: Math.random,
      onEngineError: () => {},
      targets: { min: 1, target: 1, max: 4, idleMs: 60_000, maxAgeMs: 600_000 },
      maxBooting: 2,
      maxSandboxes: 6,
    });
  });
  afterAll(async () => {
    await pools.close();
    await open.backend.close();
    expect(await open.traces()).toEqual({ sandboxes: [], gateway: [] });
  });

  /** What a call of this runtime finds in the sandbox that the pool gives it. */
  async function find(runtime: Runtime, secret: string): Promise<unknown> {
    const { sandbox } = await pools.take(smallSpec(runtime), never);
    try {
      // Backwards, so that to ask for it is not to bring it along.
      const event = { terces: [...secret].reverse().join('') };
      const found = answerOf(await runIn(sandbox, callOf(FINDS[runtime], { event })));
      // Names that every sandbox has of its own.
      return JSON.parse(JSON.stringify(found).replaceAll(/(cronium-|HOSTNAME=)[0-9a-f]{12}/g, '$1x'));
    } finally {
      await sandbox.destroy();
    }
  }

  test.each(RUNTIMES)('%s: a call finds nothing of another, during it and after it', async (runtime) => {
    const mark = `mark${randomBytes(8).toString('hex')}`;
    const secret = `secret${randomBytes(8).toString('hex')}`;
    const untouched = await find(runtime, secret);

    const { sandbox } = await pools.take(smallSpec(runtime), never);
    const planted = Promise.withResolvers<string>();
    // The processes of gVisor's kernel are its own, and the host knows none of their names: there it is the kernel, and what serves
    // it files, that the host can see, by the container's id in their arguments.
    const [sign, least] = engine.name === 'docker+runsc' ? [sandbox.id, 2] : [mark, 3];
    const seenOnHost = () => processesBearing(sign);
    const env = { MARK: mark, SECRET: secret };
    const call = callOf(PLANTS[runtime], { env, event: { mark, secret } });
    const running = runIn(sandbox, call, never, (log) => {
      if (/planted.*\n/.test(log)) planted.resolve(log);
    });
    try {
      const said = await Promise.race([
        planted.promise,
        running.then(({ log }) => Promise.reject(new Error(log))),
      ]);
      for (const folder of WRITABLE) expect(said).toContain(folder);
      for (const folder of ['/usr', '/etc', '/opt', '/var', '/home']) expect(said).not.toContain(folder);
      // That the host shows them now is what makes it worth something that it does not show them later.
      await expect.poll(() => seenOnHost().length).toBeGreaterThanOrEqual(least);

      const during = await find(runtime, secret);
      expect(during).toEqual(untouched);
    } finally {
      await sandbox.destroy();
      await running.catch(() => {});
    }
    expect(await eventuallyNone(seenOnHost)).toEqual([]);
    expect((await open.traces()).sandboxes.join()).not.toContain(sandbox.id.slice(0, 12));

    const after = await find(runtime, secret);
    expect(after).toEqual(untouched);
    for (const text of [mark, secret, 'LEAK']) expect(JSON.stringify(after)).not.toContain(text);
  });
}
