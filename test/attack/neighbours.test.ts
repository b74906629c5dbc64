import { expect, test } from 'vitest';
import { answerOf, callOf, runIn, smallSpec } from '../contract/calls.ts';
import type { Engine } from '../engines.ts';
import { onEngine } from '../on-engine.ts';

const CPUS = 0.25;
/** Loops in several processes at once, and tells how much of the processor they got a second. */
const LOOPS = `
import os, resource, time

def handler(event, context):
    began = time.monotonic()
    children = []
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            while time.monotonic() < began + 1.5: pass
            os._exit(0)
        children.append(pid)
    for pid in children: os.waitpid(pid, 0)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) / (time.monotonic() - began)
`;
const LOOPS_FOR_EVER = 'def handler(event, context):\n    while True: pass\n';
const WORKS = 'def handler(event, context): return sum(range(1000))';

// Not on gVisor: it counts the time of its processes by a clock of its own, and what they got of the host's cannot be seen from inside.
await onEngine('docker', neighbourSuite);
await onEngine('podman', neighbourSuite);
await onEngine('bubblewrap with control groups', neighbourSuite);

function neighbourSuite(engine: Engine): void {
  test('who loops in many processes gets the share that was allowed, and a neighbour is answered meanwhile', {
    timeout: 90_000,
  }, async () => {
    const open = await engine.open();
    const create = (cpus: number) =>
      open.backend.create(
        smallSpec('python', { cpus, memoryBytes: 160 * 2 ** 20 }),
        AbortSignal.timeout(60_000),
      );
    try {
      const [looping, counted, neighbour] = await Promise.all([create(CPUS), create(CPUS), create(1)]);
      const end = new AbortController();
      const loop = runIn(looping, callOf(LOOPS_FOR_EVER), end.signal).catch((error) => error);
      // However busy the machine is, a quota is an upper bound; the rest is what is given ahead within a period.
      expect(answerOf(await runIn(counted, callOf(LOOPS)))).toBeLessThan(CPUS * 2);
      expect(answerOf(await runIn(neighbour, callOf(WORKS)))).toBe(499_500);
      const reason = new Error('its time ran out');
      end.abort(reason);
      expect(await loop).toBe(reason);
      await Promise.all([looping, counted, neighbour].map((sandbox) => sandbox.destroy()));
    } finally {
      await open.backend.close();
    }
    expect(await open.traces()).toEqual({ sandboxes: [], gateway: [] });
  });
}
