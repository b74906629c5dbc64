import { GatewayError } from '../errors.ts';
import type { BootBudget } from './boot-budget.ts';
import { BootHistory } from './boot-history.ts';
import type { Clock } from './clock.ts';
import type { Runtime } from './event.ts';
import type { StartKind } from './invocation.ts';
import type { Kernel, SecurityLevel } from './isolation.ts';
import { type PoolTargets, planPool } from './pool-plan.ts';
import type { Sandbox, SandboxBackend, SandboxSpec } from './sandbox.ts';
import { type Slot, Slots } from './slots.ts';
import { type Waiter, Waiters } from './waiters.ts';

/** A sandbox that is now the caller's: to run once and to destroy. */
export interface Taken {
  sandbox: Sandbox;
  start: StartKind;
}

export interface PoolStatus {
  key: string;
  runtime: Runtime;
  isolation: string;
  securityLevel: SecurityLevel;
  min: number;
  target: number;
  max: number;
  starting: number;
  ready: number;
  taken: number;
  waiting: number;
  warmStarts: number;
  coldStarts: number;
  bootFailures: number;
  lastError: string | null;
}

export interface PoolDeps {
  backend: SandboxBackend;
  budget: BootBudget;
  clock: Clock;
  bootTimeoutMs: number;
  /** In [0, 1): jitter for back-off. */
  random: () => number;
  onEngineError: (poolKey: string, error: unknown) => void;
  /** A warm sandbox died by itself, or one booted after others had not, or from another image: what was true of them may not be any more. */
  onDisturbance: () => void;
}

/**
 * A boot costs processor time that the call just handed off needs more; it has answered by then, or it takes long anyway. On a kernel of
 * the sandbox's own the same call takes longer, and so does a boot.
 */
const REFILL_DELAY_MS: Readonly<Record<Kernel, number>> = { host: 10, gvisor: 25, own: 25 };

/** Keeps the sandboxes of one spec warm and gives each away once. What to do is decided in pool-plan.ts; this carries it out. */
export class Pool {
  readonly key: string;
  readonly #spec: SandboxSpec;
  readonly #targets: PoolTargets;
  readonly #deps: PoolDeps;
  readonly #slots = new Slots();
  readonly #waiters = new Waiters<Taken>();
  readonly #coldWaiters = new Waiters<Taken>();
  readonly #closing = new AbortController();
  /** Why nobody is served for the time being. */
  #suspension: GatewayError | null = null;
  /** Boots and destructions under way, so that `close` can wait for the last of them. */
  readonly #engineWork = new Set<Promise<unknown>>();
  readonly #boots = new BootHistory();
  readonly #counts = { warm: 0, cold: 0 };
  #lastDemandAt: number | null = null;
  #timer: { at: number; cancel: () => void } | undefined;

  constructor(key: string, spec: SandboxSpec, targets: PoolTargets, deps: PoolDeps) {
    this.key = key;
    this.#spec = spec;
    this.#targets = targets;
    this.#deps = deps;
  }

  get runtime(): Runtime {
    return this.#spec.runtime;
  }

  get lastDemandAt(): number | null {
    return this.#lastDemandAt;
  }

  /** Why nobody is served; `null` when somebody may be. */
  get #refusal(): GatewayError | null {
    return this.#closing.signal.reason ?? this.#suspension;
  }

  get waiting(): number {
    return this.#waiters.size + this.#coldWaiters.size;
  }

  /** Callers that wait and for whom nothing boots. */
  get unserved(): number {
    const booting = this.#slots.in('starting').filter((slot) => !slot.reserved).length;
    return Math.max(0, this.#waiters.size - booting) + this.#coldWaiters.size;
  }

  /** Whether a caller waits for a boot of its own, for which one that is warm here may make room. */
  get wantsColdStart(): boolean {
    return this.#coldWaiters.size > 0;
  }

  /** Has as many warm sandboxes as it keeps at rest, or has given them to callers. */
  get isReady(): boolean {
    return this.#slots.count('ready') + this.#slots.count('taken') >= this.#targets.min;
  }

  /** Why the last boot failed; `null` once one succeeded. */
  get lastError(): GatewayError | null {
    return this.#boots.lastError;
  }

  /**
   * Transfers a sandbox to the caller: at once when one is warm, else when one has booted, in the order of the calls.
   * Rejects with `signal.reason` when aborted first, with `shutting_down` when the pool closes.
   * @param forceCold boots one for this caller, even when another is warm
   */
  async take(signal: AbortSignal, forceCold = false): Promise<Taken> {
    signal.throwIfAborted();
    if (this.#refusal !== null) throw this.#refusal;
    this.#lastDemandAt = this.#deps.clock.now();
    const warm = forceCold || this.#waiters.size > 0 ? undefined : this.#slots.oldestReady();
    if (warm !== undefined) {
      this.#pumpIn(REFILL_DELAY_MS[this.#deps.backend.kernel]);
      return this.#give(warm, 'warm');
    }
    const { served } = (forceCold ? this.#coldWaiters : this.#waiters).join(signal);
    this.pump();
    return served;
  }

  /** Serves nobody until `resume`: refuses who waits and gives up what is warm. Calls that have a sandbox keep it. */
  suspend(reason: GatewayError): void {
    this.#suspension = reason;
    this.#empty(reason);
  }

  resume(): void {
    this.#suspension = null;
    this.pump();
  }

  /** Does what the plan says now, and sees to it that it is asked again when time changes the plan. */
  pump(): void {
    if (this.#refusal !== null) return;
    this.#cancelTimer();
    this.#bootForColdWaiters();
    const now = this.#deps.clock.now();
    const starting = this.#slots.in('starting');
    const reserved = starting.filter((slot) => slot.reserved).length;
    const plan = planPool(
      {
        ready: this.#slots.in('ready'),
        starting: starting.length - reserved,
        taken: this.#slots.count('taken') + reserved,
        waiters: this.#waiters.size,
        lastDemandAt: this.#lastDemandAt,
        bootsAllowed: this.#deps.budget.allowed,
        notBefore: this.#boots.notBefore,
      },
      this.#targets,
      now,
    );
    for (const id of plan.retire) this.#retire(this.#slots.get(id));
    for (let i = 0; i < plan.start; i++) this.#startBoot(null);
    if (plan.nextAt !== null) this.#pumpIn(Math.max(1, plan.nextAt - now));
    if (this.#coldWaiters.size > 0 && now < this.#boots.notBefore) this.#pumpIn(this.#boots.notBefore - now);
  }

  /** Gives up a warm sandbox so that another may boot in its place; resolves when it is gone, `undefined` when none is warm. */
  yieldOne(): Promise<void> | undefined {
    const slot = this.#slots.oldestReady();
    return slot && this.#retire(slot);
  }

  status(): PoolStatus {
    const { min, target, max } = this.#targets;
    return {
      key: this.key,
      runtime: this.#spec.runtime,
      isolation: this.#deps.backend.isolation,
      securityLevel: this.#deps.backend.level,
      min,
      target,
      max,
      starting: this.#slots.count('starting'),
      ready: this.#slots.count('ready'),
      taken: this.#slots.count('taken'),
      waiting: this.waiting,
      warmStarts: this.#counts.warm,
      coldStarts: this.#counts.cold,
      bootFailures: this.#boots.failures,
      lastError: this.#boots.lastError?.message ?? null,
    };
  }

  /** Refuses who waits and ends what is warm or booting. Sandboxes that were taken are their callers'. */
  async close(): Promise<void> {
    const options = { retryAfterSeconds: 5 };
    const reason = new GatewayError('shutting_down', 'The gateway is shutting down.', options);
    this.#closing.abort(reason);
    this.#empty(reason);
    while (this.#engineWork.size > 0) await Promise.all(this.#engineWork);
  }

  #empty(reason: GatewayError): void {
    this.#cancelTimer();
    this.#waiters.refuseAll(reason);
    this.#coldWaiters.refuseAll(reason);
    for (const slot of this.#slots.in('ready')) this.#retire(slot);
  }

  #bootForColdWaiters(): void {
    if (this.#deps.clock.now() < this.#boots.notBefore) return;
    while (this.#coldWaiters.size > 0 && this.#deps.budget.allowed > 0) {
      if (this.#slots.size >= this.#targets.max && !this.yieldOne()) return;
      this.#startBoot(this.#coldWaiters.shift()!);
    }
  }

  #startBoot(coldWaiter: Waiter<Taken> | null): void {
    const slot = this.#slots.add(coldWaiter !== null);
    this.#deps.budget.bootBegins();
    this.#track(this.#boot(slot, coldWaiter));
  }

  async #boot(slot: Slot, coldWaiter: Waiter<Taken> | null): Promise<void> {
    const { backend, budget, bootTimeoutMs, clock } = this.#deps;
    const late = new AbortController();
    const message = `A ${this.#spec.runtime} sandbox was not ready within ${bootTimeoutMs} ms.`;
    const cancel = clock.after(bootTimeoutMs, () =>
      late.abort(new GatewayError('engine_unavailable', message)),
    );
    try {
      const sandbox = await backend.create(this.#spec, AbortSignal.any([late.signal, this.#closing.signal]));
      this.#booted(slot, sandbox, coldWaiter);
    } catch (error) {
      this.#slots.move(slot, 'gone');
      this.#bootFailed(error, coldWaiter);
      budget.sandboxGone();
    } finally {
      cancel();
      budget.bootEnds();
      this.pump();
    }
  }

  #booted(slot: Slot, sandbox: Sandbox, coldWaiter: Waiter<Taken> | null): void {
    if (this.#boots.succeeded(sandbox.image)) this.#deps.onDisturbance();
    slot.sandbox = sandbox;
    slot.readyAt = this.#deps.clock.now();
    this.#slots.move(slot, 'ready');
    sandbox.closed.then(() => this.#closed(slot));
    if (this.#refusal !== null) {
      coldWaiter?.refuse(this.#refusal);
      this.#retire(slot);
      return;
    }
    const waiter = coldWaiter === null || coldWaiter.settled ? this.#waiters.shift() : coldWaiter;
    waiter?.serve(this.#give(slot, 'cold'));
  }

  #bootFailed(error: unknown, coldWaiter: Waiter<Taken> | null): void {
    if (this.#closing.signal.aborted) {
      coldWaiter?.refuse(this.#closing.signal.reason);
      return;
    }
    const failure = this.#boots.failed(error, this.#deps.clock.now(), this.#deps.random());
    this.#deps.onEngineError(this.key, error);
    coldWaiter?.refuse(failure);
  }

  /** Ownership goes to the caller; the slot stays only to be counted until the sandbox is gone. */
  #give(slot: Slot, start: StartKind): Taken {
    this.#slots.move(slot, 'taken');
    this.#counts[start] += 1;
    return { sandbox: slot.sandbox!, start };
  }

  #retire(slot: Slot): Promise<void> {
    this.#slots.move(slot, 'gone');
    return this.#destroy(slot);
  }

  #closed(slot: Slot): void {
    if (slot.state === 'gone') return;
    const wasTaken = slot.state === 'taken';
    this.#slots.move(slot, 'gone');
    // One that died while warm has no owner who would remove what its engine still holds of it.
    if (wasTaken) this.#deps.budget.sandboxGone();
    else {
      this.#destroy(slot);
      this.#deps.onDisturbance();
    }
    this.pump();
  }

  #destroy(slot: Slot): Promise<void> {
    const destroyed = slot.sandbox!.destroy().catch((error) => this.#deps.onEngineError(this.key, error));
    const gone = destroyed.finally(() => this.#deps.budget.sandboxGone());
    this.#track(gone);
    return gone;
  }

  /** The earliest of those asked for counts: calls that follow each other quickly must not put the refill off. */
  #pumpIn(delayMs: number): void {
    const at = this.#deps.clock.now() + delayMs;
    if (this.#timer !== undefined && this.#timer.at <= at) return;
    this.#cancelTimer();
    this.#timer = { at, cancel: this.#deps.clock.after(delayMs, () => this.pump()) };
  }

  #cancelTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #track(work: Promise<unknown>): void {
    this.#engineWork.add(work);
    work.finally(() => this.#engineWork.delete(work));
  }
}
