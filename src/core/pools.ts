import { GatewayError } from '../errors.ts';
import { BootBudget, type BootLimits } from './boot-budget.ts';
import type { Runtime } from './event.ts';
import { Gate } from './gate.ts';
import { Pool, type PoolDeps, type PoolStatus, type Taken } from './pool.ts';
import type { PoolTargets } from './pool-plan.ts';
import { poolKey, type Sandbox, type SandboxSpec } from './sandbox.ts';
import { Waiters } from './waiters.ts';

export interface PoolsOptions extends Omit<PoolDeps, 'budget' | 'onDisturbance'>, BootLimits {
  targets: PoolTargets;
}

/** All pools, by key. Those of the default size are kept warm from the start; one of another size begins with its first use. */
export class Pools {
  readonly #options: PoolsOptions;
  readonly #budget: BootBudget;
  readonly #pools = new Map<string, Pool>();
  readonly #gates = new Map<Runtime, Gate>();
  /** For a sandbox beside the pools. */
  readonly #apart = new Waiters<void>();
  #onDisturbance: (runtime: Runtime) => void = () => {};
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
    const passing = this.#gate(spec.runtime).pass(signal);
    if (passing !== undefined) await passing;
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

  /** Calls back when what was true of the sandboxes of a runtime may not be any more: as `PoolDeps.onDisturbance` says. */
  onDisturbance(callback: (runtime: Runtime) => void): void {
    this.#onDisturbance = callback;
  }

  /** Has callers of a runtime wait until it is known whether they may be served. */
  hold(runtime: Runtime): void {
    this.#gate(runtime).hold();
  }

  /** Turns away whoever wants or waits for a sandbox of this runtime, and gives up those that are warm. */
  suspend(runtime: Runtime, reason: GatewayError): void {
    this.#gate(runtime).refuse(reason);
    for (const pool of this.#pools.values()) if (pool.runtime === runtime) pool.suspend(reason);
  }

  /** Serves callers of a runtime that were held or turned away before. */
  admit(runtime: Runtime): void {
    const gate = this.#gate(runtime);
    const wasRefused = gate.refusal !== null;
    gate.open();
    if (!wasRefused) return;
    for (const pool of this.#pools.values()) if (pool.runtime === runtime) pool.resume();
  }

  /** Boots a sandbox beside the pools, which no caller gets, as soon as there is room that no caller waits for. */
  async bootApart(boot: () => Promise<Sandbox>, signal: AbortSignal): Promise<Sandbox> {
    const { served } = this.#apart.join(signal);
    this.#distribute();
    await served;
    try {
      const sandbox = await boot();
      sandbox.closed.then(() => this.#budget.sandboxGone());
      return sandbox;
    } catch (error) {
      this.#budget.sandboxGone();
      throw error;
    } finally {
      this.#budget.bootEnds();
    }
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
    const reasons = [...this.#pools.values()]
      .filter((pool) => !pool.isReady && this.#gate(pool.runtime).refusal === null)
      .map((pool) => `${pool.key}: ${pool.lastError?.message ?? otherwise}`);
    for (const [runtime, { isHeld }] of this.#gates)
      if (isHeld) reasons.push(`${runtime}: the self-test has not passed yet`);
    return reasons;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#budget.close();
    for (const gate of this.#gates.values()) {
      if (gate.isHeld) gate.refuse(new GatewayError('shutting_down', 'The gateway is shutting down.'));
    }
    await Promise.all([...this.#pools.values()].map((pool) => pool.close()));
  }

  #gate(runtime: Runtime): Gate {
    let gate = this.#gates.get(runtime);
    if (gate === undefined) {
      gate = new Gate();
      this.#gates.set(runtime, gate);
    }
    return gate;
  }

  #pool(spec: SandboxSpec, targets: PoolTargets): Pool {
    const key = poolKey(spec);
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      const onDisturbance = () => this.#onDisturbance(spec.runtime);
      pool = new Pool(key, spec, targets, { ...this.#options, budget: this.#budget, onDisturbance });
      const { refusal } = this.#gate(spec.runtime);
      if (refusal !== null) pool.suspend(refusal);
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
        if (pool.unserved === 0) this.#serveApart();
        this.#makeRoomFor(pool);
        pool.pump();
      }
      this.#serveApart();
    } finally {
      this.#distributing = false;
    }
  }

  /** Before pools that only want to be fuller: they would take every place for good. */
  #serveApart(): void {
    while (this.#apart.size > 0 && this.#budget.allowed > 0) {
      this.#budget.bootBegins();
      this.#apart.shift()!.serve();
    }
    if (this.#apart.size > 0 && this.#budget.full && this.#evictions === 0)
      this.#evict([...this.#pools.values()]);
  }

  /** With every sandbox allowed in existence, a caller gets the place of a warm one that has waited longest for nobody. */
  #makeRoomFor(needy: Pool): void {
    if (!this.#budget.full || this.#evictions >= needy.unserved) return;
    this.#evict([...this.#pools.values()].filter((pool) => pool !== needy || needy.wantsColdStart));
  }

  #evict(among: Pool[]): void {
    const leastRecentFirst = among.sort((a, b) => (a.lastDemandAt ?? -1) - (b.lastDemandAt ?? -1));
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
