import { describe, expect, test } from 'vitest';
import type { Taken } from '../../src/core/pool.ts';
import { Pools } from '../../src/core/pools.ts';
import type { SandboxSpec } from '../../src/core/sandbox.ts';
import { FakeBackend, FakeClock, type FakeSandbox, never, seeded, settle, spec } from './fakes.ts';

const MAX_SANDBOXES = 6;
const MAX_BOOTING = 3;
const SPECS = [spec({ runtime: 'python' }), spec({ runtime: 'bash' }), spec({ memoryBytes: 2 ** 30 })];

/** Callers, deaths, failures and time at random over pools that are too small for them. */
class Soak {
  readonly backend = new FakeBackend();
  readonly clock = new FakeClock();
  readonly random: () => number;
  readonly pools: Pools;
  readonly held: Taken[] = [];
  readonly waiting = new Set<AbortController>();
  readonly handedOut = new Set<string>();
  refused = 0;

  constructor(seed: number) {
    this.random = seeded(seed);
    this.pools = new Pools({
      backend: this.backend,
      clock: this.clock,
      bootTimeoutMs: 300,
      random: this.random,
      onEngineError: () => {},
      targets: { min: 1, target: 2, max: 4, idleMs: 2_000, maxAgeMs: 5_000 },
      maxBooting: MAX_BOOTING,
      maxSandboxes: MAX_SANDBOXES,
    });
    this.pools.keepWarm(SPECS[0]!);
    this.pools.keepWarm(SPECS[1]!);
  }

  pick<T>(items: readonly T[]): T | undefined {
    return items[Math.floor(this.random() * items.length)];
  }

  take(): void {
    const caller = new AbortController();
    this.waiting.add(caller);
    const wanted = this.pick(SPECS) as SandboxSpec;
    this.pools
      .take(wanted, caller.signal, this.random() < 0.2)
      .then(
        (taken) => {
          expect(this.handedOut, 'a sandbox was handed out twice').not.toContain(taken.sandbox.id);
          expect((taken.sandbox as FakeSandbox).destroyed, 'a destroyed sandbox was handed out').toBe(0);
          expect((taken.sandbox as FakeSandbox).spec).toBe(wanted);
          this.handedOut.add(taken.sandbox.id);
          this.held.push(taken);
        },
        () => {
          this.refused += 1;
        },
      )
      .finally(() => this.waiting.delete(caller));
  }

  release(): void {
    const at = Math.floor(this.random() * this.held.length);
    const [taken] = this.held.splice(at, 1);
    taken?.sandbox.destroy();
  }

  async step(): Promise<void> {
    const chance = this.random();
    if (chance < 0.3) this.take();
    else if (chance < 0.5) this.release();
    else if (chance < 0.7) this.pick(this.backend.boots)?.succeed();
    else if (chance < 0.75) this.pick(this.backend.boots)?.fail();
    else if (chance < 0.8) this.pick([...this.waiting])?.abort(new Error('left'));
    else if (chance < 0.84) this.pick(this.backend.alive)?.die();
    else await this.clock.advance(this.random() * 200);
    // Without a pause the next event meets the promises of this one half-way.
    if (this.random() < 0.7) await settle();
  }

  check(): void {
    expect(this.backend.boots.length).toBeLessThanOrEqual(MAX_BOOTING);
    const owned = this.pools.status();
    const total = owned.reduce((sum, { starting, ready, taken }) => sum + starting + ready + taken, 0);
    expect(total).toBeLessThanOrEqual(MAX_SANDBOXES);
    for (const { starting, ready, taken } of owned) expect(starting + ready + taken).toBeLessThanOrEqual(4);
  }
}

describe('pools under random load', () => {
  test.for([1, 2, 3, 4, 5])('lose no sandbox, no caller and no place (seed %i)', async (seed) => {
    const soak = new Soak(seed);
    for (let step = 0; step < 1_500; step++) {
      await soak.step();
      soak.check();
    }
    await settle();
    // The engine recovers and those who hold sandboxes give them back: everybody who still waits is served.
    for (let turn = 0; turn < 200 && soak.waiting.size > 0; turn++) {
      while (soak.held.length > 0) soak.release();
      for (const boot of [...soak.backend.boots]) boot.succeed();
      await soak.clock.advance(200);
    }
    expect(soak.waiting.size).toBe(0);
    while (soak.held.length > 0) soak.release();
    await settle();

    // Each place is free again: as many as ever boot at once.
    soak.backend.auto = true;
    const all = Array.from({ length: 4 }, () => soak.pools.take(SPECS[2]!, never, true));
    const taken = await Promise.all(all);
    expect(taken).toHaveLength(4);
    soak.check();
    await Promise.all(taken.map(({ sandbox }) => sandbox.destroy()));
    soak.backend.auto = false;

    await soak.pools.close();
    expect(soak.handedOut.size).toBeGreaterThan(100);
    expect(soak.backend.sandboxes.filter(({ destroyed }) => destroyed !== 1)).toEqual([]);
    expect(soak.backend.boots).toEqual([]);
    expect(soak.clock.pendingTimers).toBe(0);
    expect(
      soak.pools.status().every(({ starting, ready, waiting }) => starting + ready + waiting === 0),
    ).toBe(true);
  });
});
