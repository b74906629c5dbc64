import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { Pools } from '../../src/core/pools.ts';
import { callOf, runIn, smallSpec } from '../contract/calls.ts';
import type { Engine, OpenEngine } from '../engines.ts';
import { onEngine } from '../on-engine.ts';

const never = new AbortController().signal;
/** A container takes its time; the thousand is worth it now and then. */
const isLong = process.env.ATTACK_LONG === '1';

/** Shows what was left where one can write, then leaves something. */
const LEAVES_NONCE = `
shopt -s nullglob
echo /tmp/nonce* /run/nonce* /dev/shm/nonce*
for at in /tmp /run /dev/shm; do : > "$at/nonce-$NONCE"; done
echo "left $NONCE"
`;

await onEngine('docker+runsc', (engine) => suite(engine, isLong ? 1_000 : 10));
await onEngine('docker', (engine) => suite(engine, isLong ? 1_000 : 20));
await onEngine('podman', (engine) => suite(engine, isLong ? 1_000 : 10));
await onEngine('bubblewrap', (engine) => suite(engine, 1_000));

/** @param count calls, one after the other */
function suite(engine: Engine, count: number): void {
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
      targets: { min: 2, target: 3, max: 8, idleMs: 60_000, maxAgeMs: 600_000 },
      maxBooting: 2,
      maxSandboxes: 10,
    });
  });
  afterAll(async () => {
    await pools.close();
    await open.backend.close();
    expect(await open.traces()).toEqual({ sandboxes: [], gateway: [] });
  });

  test(`${count} calls in a row use ${count} different sandboxes`, { timeout: 600_000 }, async () => {
    const ids = new Set<string>();
    for (let n = 0; n < count; n++) {
      const { sandbox } = await pools.take(smallSpec('bash'), never);
      expect(ids).not.toContain(sandbox.id);
      ids.add(sandbox.id);
      const { body } = await runIn(sandbox, callOf(LEAVES_NONCE, { env: { NONCE: String(n) } }));
      expect(body).toBe(`\nleft ${n}\n`);
      await sandbox.destroy();
    }
    expect(ids.size).toBe(count);
  });
}
