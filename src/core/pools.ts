import { GatewayError } from '../errors.ts';
import { BootBudget, type BootLimits } from './boot-budget.ts';
import { Pool, type PoolDeps, type PoolStatus, type Taken } from './pool.ts';
import type { PoolTargets } from './pool-plan.ts';
import { poolKey, type SandboxSpec } from './sandbox.ts';

export interface PoolsOptions extends Omit<PoolDeps, 'budget'>, BootLimits {
  targets: PoolTargets;
}

/** All pools, by key. Those of the default size are kept warm from the start; one of another size begins with its first use. */
export class Pools {
  readonly #options: PoolsOptions;
  readonly #budget: BootBudget;
  readonly #pools = new Map<string, Pool>();
  #distributing = false;
  #evictions = 0;
  #closed = false;

  constructor(options: PoolsOptions) {
    this.#options = options;
    this.#budget = new BootBudget(options);
    this.#budget.whenRoom(() => this.#distribute());
  }

  /** Keeps a pool of this spec warm even when nobody calls it. */
  keepWarm(spec: SandboxSpec): void {
    if (this.#closed) return;
    this.#pool(spec, this.#options.targets).pump();
  }

  /** As `Pool.take`, from the pool of this spec. */
  async take(spec: SandboxSpec, signal: AbortSignal, forceCold = false): Promise<Taken> {
    // A pool made now would never be closed.
    if (this.#closed) {
      const options = { retryAfterSeconds: 5 };
      throw new GatewayError('shutting_down', 'The gateway is shutting down.', options);
    }
    const pool = this.#pool(spec, { ...this.#options.targets, min: 0 });
    const taken = pool.take(signal, forceCold);
    this.#makeRoomFor(pool);
    return taken;
  }

  /** Why sandboxes of this spec do not boot; `null` while they do. */
  lastError(spec: SandboxSpec): GatewayError | null {
    return this.#pools.get(poolKey(spec))?.lastError ?? null;
  }

  /** Whether nothing boots because the host is short of memory. */
  get shortOfMemory(): boolean {
    return this.#budget.shortOfMemory;
  }

  status(): PoolStatus[] {
    return [...this.#pools.values()].map((pool) => pool.status());
  }

  /** Pools that do not have what they keep at rest, with the reason where there is one. */
  unready(): string[] {
    const otherwise = this.shortOfMemory ? 'the host is short of memory' : 'booting';
    return [...this.#pools.values()]
      .filter((pool) => !pool.isReady)
      .map((pool) => `${pool.key}: ${pool.lastError?.message ?? otherwise}`);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#budget.close();
    await Promise.all([...this.#pools.values()].map((pool) => pool.close()));
  }

  #pool(spec: SandboxSpec, targets: PoolTargets): Pool {
    const key = poolKey(spec);
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      pool = new Pool(key, spec, targets, { ...this.#options, budget: this.#budget });
      this.#pools.set(key, pool);
    }
    return pool;
  }

  /** Callers that wait come before pools that only want to be fuller. */
  #distribute(): void {
    // Pumping starts boots, and a boot that fails at once would come back here.
    if (this.#distributing) return;
    this.#distributing = true;
    try {
      const byNeed = [...this.#pools.values()].sort((a, b) => b.unserved - a.unserved);
      for (const pool of byNeed) {
        this.#makeRoomFor(pool);
        pool.pump();
      }
    } finally {
      this.#distributing = false;
    }
  }

  /** With every sandbox allowed in existence, a caller gets the place of a warm one that has waited longest for nobody. */
  #makeRoomFor(needy: Pool): void {
    if (!this.#budget.full || this.#evictions >= needy.unserved) return;
    const leastRecentFirst = [...this.#pools.values()]
      .filter((pool) => pool !== needy || needy.wantsColdStart)
      .sort((a, b) => (a.lastDemandAt ?? -1) - (b.lastDemandAt ?? -1));
    for (const pool of leastRecentFirst) {
      const gone = pool.yieldOne();
      if (gone === undefined) continue;
      this.#evictions += 1;
      gone.finally(() => {
        this.#evictions -= 1;
      });
      return;
    }
  }
}
