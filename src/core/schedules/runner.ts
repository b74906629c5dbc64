import { GatewayError } from '../../errors.ts';
import type { Clock } from '../clock.ts';
import type { Schedule, ScheduleStore } from './schedule.ts';
import { stateOf, type Tick, type TickDeps, tickOf } from './tick.ts';

export interface ScheduleRunnerOptions extends TickDeps {
  store: Pick<ScheduleStore, 'due' | 'nextFireAt' | 'advance'>;
  clock: Clock;
  /** The time of day, which may jump; ms since the epoch. */
  wallNow: () => number;
  /** Something was put into the queue. */
  onEnqueued: () => void;
  /** A pass failed; it is made again shortly. May not throw. */
  onError: (error: unknown) => void;
}

/** Schedules a pass. */
const BATCH = 50;
/** The wall clock is looked at as often: it may have jumped, ms. */
const LOOK_MS = 30_000;
/** How often the database is asked though nothing is due: what was told of it may have been lost, ms. */
const ASK_MS = 60_000;
const SET_ASIDE_MS = 60_000;
const FIRST_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 30_000;

/**
 * Runs what is due, and sleeps until the next due time. Any number of them may work on one database: of each schedule's state
 * only one can make the next.
 */
export class ScheduleRunner {
  readonly #options: ScheduleRunnerOptions;
  #cancel: (() => void) | undefined;
  #pass: Promise<void> | undefined;
  #again = false;
  #failures = 0;
  #nextAt: number | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;
  /** Runs that a due time waits for. */
  readonly #awaited = new Set<string>();
  /** Those of them that have ended. */
  #ended: string[] = [];
  #closed = false;

  constructor(options: ScheduleRunnerOptions) {
    this.#options = options;
  }

  /** Schedules may have changed: looks at once. Does nothing once it is closed. */
  wake(): void {
    if (this.#closed) return;
    if (this.#pass !== undefined) {
      this.#again = true;
      return;
    }
    this.#cancel?.();
    this.#pass = this.#run().finally(() => {
      this.#pass = undefined;
      if (!this.#again) return this.#sleep();
      this.#again = false;
      this.wake();
    });
  }

  /** An invocation has ended; a due time may have waited for it. */
  ended(invocationId: string): void {
    if (!this.#awaited.delete(invocationId)) return;
    this.#ended.push(invocationId);
    this.wake();
  }

  /** Begins nothing any more; resolves when what is under way is written. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel?.();
    await this.#pass;
  }

  async #run(): Promise<void> {
    const { store, wallNow, clock, onError } = this.#options;
    try {
      this.#askedAt = clock.now();
      for (let more = true; more && !this.#closed; ) {
        const now = new Date(wallNow());
        const due = await store.due(now, BATCH, this.#ended.splice(0, BATCH));
        for (const schedule of due) await this.#advance(schedule, now);
        more = due.length === BATCH;
      }
      this.#nextAt = (await store.nextFireAt())?.getTime();
      this.#failures = 0;
    } catch (error) {
      this.#failures += 1;
      onError(error);
    }
  }

  async #advance(schedule: Schedule, now: Date): Promise<void> {
    const { store, onEnqueued } = this.#options;
    const { state, runs } = await this.#tick(schedule, now);
    if (!(await store.advance(schedule, state, runs))) return;
    if (runs.length > 0) onEnqueued();
    if (state.held && state.lastInvocationId !== null) this.#awaited.add(state.lastInvocationId);
  }

  /** What cannot be run for what is in it is set aside for a while: it must not keep the others from running. */
  async #tick(schedule: Schedule, now: Date): Promise<Tick> {
    try {
      return await tickOf(schedule, now, this.#options);
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'store_unavailable') throw error;
      this.#options.onError(error);
      return { state: { ...stateOf(schedule), fireAt: new Date(now.getTime() + SET_ASIDE_MS) }, runs: [] };
    }
  }

  #sleep(): void {
    if (this.#closed) return;
    const { clock, wallNow } = this.#options;
    const untilNextMs = this.#nextAt === undefined ? LOOK_MS : this.#nextAt - wallNow();
    const backoffMs = Math.min(FIRST_BACKOFF_MS * 2 ** (this.#failures - 1), MAX_BACKOFF_MS);
    const pauseMs = this.#failures > 0 ? backoffMs : Math.min(Math.max(untilNextMs, 0), LOOK_MS);
    this.#cancel = clock.after(pauseMs, () => this.#look());
  }

  /** Asks the database only when something is due, or it was not asked for long. */
  #look(): void {
    const { clock, wallNow } = this.#options;
    const isDue = this.#nextAt !== undefined && this.#nextAt <= wallNow();
    if (isDue || this.#failures > 0 || clock.now() - this.#askedAt >= ASK_MS) this.wake();
    else this.#sleep();
  }
}
