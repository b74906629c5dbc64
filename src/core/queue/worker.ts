import type { Clock } from '../clock.ts';
import { type AttemptDeps, type Attempted, attempt, recordOf } from './attempt.ts';
import type { Claimed, Ending, QueueStore } from './queue.ts';
import { asyncOf } from './settings.ts';
import { type Failure, MAX_CRASHES, type Verdict, verdictOn } from './verdict.ts';

/** Hears what the worker does, to count it. The rules of `Observer` hold. */
export interface WorkerObserver {
  claimed(count: number): void;
  ended(status: Ending['status']): void;
  retried(failed: boolean): void;
  /** A late result that the fence refused: somebody else has the invocation. */
  fenced(): void;
  /** Put back what dead gateways held. */
  reclaimed(count: number): void;
}

export interface WorkerDeps extends AttemptDeps {
  queue: Pick<QueueStore, 'claim' | 'renew' | 'reclaim' | 'end' | 'retry' | 'release' | 'nextDueMs'>;
  clock: Clock;
  random: () => number;
  /** `<instance>:<run>` */
  lease: string;
  leaseMs: number;
  /** Invocations at once. */
  maxRunning: number;
  /** Looks at the queue so often even when nobody told it to, ms. */
  pollMs: number;
  /** Who is told of an end, and what follows from it. */
  outcomeOf: (claimed: Claimed, attempted: Attempted, ending: Ending) => Promise<Ending>;
  /** It was written that it ended. */
  onEnded: (id: string) => void;
  /** The database is away, or something else that ought not to be. */
  onError: (error: unknown) => void;
  observer: WorkerObserver;
}

interface Running {
  claimed: Claimed;
  abort: AbortController;
  /** Why it was ended from here. */
  why?: 'cancelled' | 'lost';
}

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 5_000;

/**
 * Runs what is in the queue: claims no more than there is room for, keeps the leases while it runs, and writes what came of it under
 * the fence of the claim.
 */
export class Worker {
  readonly #deps: WorkerDeps;
  readonly #running = new Map<string, Running>();
  readonly #done = new Set<Promise<void>>();
  #claiming: Promise<void> | undefined;
  #again = false;
  #stopped = false;
  #cancelPoll: (() => void) | undefined;
  #cancelHeartbeat: (() => void) | undefined;
  #beating: Promise<void> | undefined;

  constructor(deps: WorkerDeps) {
    this.#deps = deps;
  }

  get running(): number {
    return this.#running.size;
  }

  start(): void {
    this.#beat();
    this.wake();
  }

  /** Something may be due. */
  wake(): void {
    if (this.#stopped || this.#deps.maxRunning === 0) return;
    if (this.#claiming !== undefined) {
      this.#again = true;
      return;
    }
    this.#claiming = this.#claimAll().finally(() => {
      this.#claiming = undefined;
      if (this.#again) {
        this.#again = false;
        this.wake();
      }
    });
  }

  /** Kills the sandbox of an invocation, if it is here. */
  cancel(id: string): void {
    const running = this.#running.get(id);
    if (running === undefined) return;
    running.why ??= 'cancelled';
    running.abort.abort(new Error('The invocation was cancelled.'));
  }

  /** Claims nothing any more. */
  stop(): void {
    this.#stopped = true;
    this.#cancelPoll?.();
  }

  /** Resolves when everything that ran here is written down or given back. */
  async drained(): Promise<void> {
    this.stop();
    await this.#claiming;
    await Promise.all(this.#done);
    this.#cancelHeartbeat?.();
    await this.#beating;
  }

  async #claimAll(): Promise<void> {
    this.#cancelPoll?.();
    const { queue, lease, leaseMs, maxRunning, observer, onError, pollMs, random } = this.#deps;
    try {
      for (;;) {
        const room = maxRunning - this.#running.size;
        // Whoever ends wakes it again.
        if (room <= 0 || this.#stopped) return;
        const claimed = await queue.claim(lease, room, leaseMs);
        if (claimed.length > 0) observer.claimed(claimed.length);
        if (this.#stopped) return await queue.release(claimed);
        for (const one of claimed) this.#begin(one);
        if (claimed.length === 0) break;
      }
      const dueMs = (await queue.nextDueMs()) ?? pollMs;
      // Those who poll at one moment would do so for ever.
      this.#pollIn(Math.min(dueMs, pollMs * (0.5 + random() / 2)));
    } catch (error) {
      onError(error);
      this.#pollIn(pollMs * (0.5 + random() / 2));
    }
  }

  #pollIn(delayMs: number): void {
    if (this.#stopped) return;
    this.#cancelPoll?.();
    this.#cancelPoll = this.#deps.clock.after(Math.max(1, Math.ceil(delayMs)), () => this.wake());
  }

  #begin(claimed: Claimed): void {
    const running: Running = { claimed, abort: new AbortController() };
    this.#running.set(claimed.id, running);
    const done = this.#carry(running)
      .catch((error) => this.#deps.onError(error))
      .finally(() => {
        // It may have been claimed here anew after it was lost.
        if (this.#running.get(claimed.id) === running) this.#running.delete(claimed.id);
        this.#done.delete(done);
        this.wake();
      });
    this.#done.add(done);
  }

  async #carry(running: Running): Promise<void> {
    const { claimed, abort } = running;
    if (claimed.cancelRequested) return this.#finish(running, cancelled());
    const attempted =
      claimed.crashes >= MAX_CRASHES
        ? await this.#buried(claimed)
        : await attempt(claimed, this.#deps, abort.signal);
    if (running.why === 'lost') return this.#deps.observer.fenced();
    if (running.why === 'cancelled' && attempted.failure !== null) {
      return this.#finish(running, { ...cancelled(), record: { ...attempted.record, error: CANCELLED } });
    }
    // Ended by the shutdown: as if it had never been begun.
    if (attempted.failure?.code === 'shutting_down') {
      return this.#persist(running, () => this.#deps.queue.release([claimed]).then(() => true));
    }
    const verdict = this.#verdict(claimed, attempted);
    if (verdict.kind === 'retry') return this.#retry(running, attempted, verdict);
    const { failure, record, result } = attempted;
    const reason = verdict.kind === 'dead' ? verdict.reason : undefined;
    const error = failure && reason ? { ...failure, message: `${failure.message} (${reason})` } : failure;
    const ending: Ending = {
      status: verdict.kind,
      failed: verdict.kind === 'dead' && verdict.failed,
      record: { ...record, error },
      ...(result !== undefined && verdict.kind === 'succeeded' && { result }),
    };
    return this.#finish(running, await this.#deps.outcomeOf(claimed, attempted, ending));
  }

  async #buried(claimed: Claimed): Promise<Attempted> {
    const message = `The gateway died ${claimed.crashes} times while it ran this.`;
    const failure: Failure = { code: 'gateway_crashed', message };
    const event = await this.#deps.events.find(claimed.eventName).catch(() => undefined);
    return { event, failure, record: recordOf(failure) };
  }

  #verdict(claimed: Claimed, { event, failure }: Attempted): Verdict {
    // Nothing will bring these back.
    if (failure?.code === 'gateway_crashed' || failure?.code === 'not_found')
      return { kind: 'dead', failed: false };
    const settings = asyncOf(event ?? {});
    // Who runs an invocation again wants to see what comes of it: a failure is the answer.
    const tried = claimed.trigger === 'replay' ? { ...settings, attempts: 1 } : settings;
    return verdictOn(claimed, failure, tried, this.#deps.random);
  }

  async #retry(running: Running, { record }: Attempted, verdict: Verdict & { kind: 'retry' }): Promise<void> {
    const { failed, delayMs } = verdict;
    const { queue, observer } = this.#deps;
    await this.#persist(running, async () => {
      const held = await queue.retry(running.claimed, { record, failed, delayMs });
      if (held) observer.retried(failed);
      return held;
    });
  }

  async #finish(running: Running, ending: Ending): Promise<void> {
    const { queue, observer, onEnded } = this.#deps;
    const { claimed } = running;
    await this.#persist(running, async () => {
      const held = await queue.end(claimed, ending);
      if (held) {
        observer.ended(ending.status);
        onEnded(claimed.id);
      }
      return held;
    });
  }

  /** Tries until it is written or refused: while this gateway lives it keeps the lease, and after it somebody else runs it again. */
  async #persist(running: Running, write: () => Promise<boolean>): Promise<void> {
    for (let failures = 0; running.why !== 'lost'; failures++) {
      try {
        if (!(await write())) this.#deps.observer.fenced();
        return;
      } catch (error) {
        this.#deps.onError(error);
        if (this.#stopped && failures >= 3) return;
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#deps.clock.after(Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** failures), resolve);
        await promise;
      }
    }
    this.#deps.observer.fenced();
  }

  #beat(): void {
    this.#beating = this.#heartbeat()
      .catch((error) => this.#deps.onError(error))
      .finally(() => {
        if (this.#stopped && this.#running.size === 0) return;
        this.#cancelHeartbeat = this.#deps.clock.after(Math.ceil(this.#deps.leaseMs / 3), () => this.#beat());
      });
  }

  async #heartbeat(): Promise<void> {
    const { queue, lease, leaseMs, observer } = this.#deps;
    const before = [...this.#running.values()];
    if (before.length > 0) {
      const held = new Map((await queue.renew(lease, leaseMs)).map((row) => [row.id, row]));
      for (const running of before) {
        const { id, attempt: fence } = running.claimed;
        if (this.#running.get(id) !== running) continue;
        const row = held.get(id);
        if (row?.attempt === fence) {
          if (row.cancelRequested) this.cancel(id);
          continue;
        }
        running.why ??= 'lost';
        running.abort.abort(new Error('Another gateway has this invocation now.'));
      }
    }
    if (this.#stopped) return;
    const count = await queue.reclaim(lease);
    if (count === 0) return;
    observer.reclaimed(count);
    this.wake();
  }
}

const CANCELLED: Failure = { code: 'cancelled', message: 'The invocation was cancelled.' };

const cancelled = (): Ending => ({ status: 'cancelled', record: recordOf(CANCELLED), failed: false });
