import { GatewayError } from '../errors.ts';
import { Rates } from './rates.ts';
import { type Waiter, Waiters } from './waiters.ts';

export interface AdmissionLimits {
  /** Invocations that run at once, over all users. */
  maxRunning: number;
  /** Invocations that wait, over all users. */
  maxQueued: number;
}

/** What one user may use of it; `null` is no bound of their own. */
export interface Allowance {
  /** Invocations that run at once. */
  concurrency: number | null;
  ratePerMinute: number | null;
}

const UNBOUNDED: Allowance = { concurrency: null, ratePerMinute: null };

/** Ends an admission. Calling it again does nothing. */
export type Release = () => void;

interface User {
  running: number;
  /** By the token of their newest call. */
  concurrency: number;
  readonly line: Waiters<Release>;
}

/**
 * Lets so many invocations run and the rest wait. Users take turns: whoever floods waits behind their own flood, and another's
 * first call is next in turn. When too many wait, whoever has most in the queue gives way to who has fewer.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #rates = new Rates();
  /** Those who run or wait, in the order of their next turn. */
  readonly #users = new Map<string, User>();
  #running = 0;
  /** Mean duration of recent invocations, ms: what `Retry-After` is reckoned from. */
  #meanMs = 100;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  get running(): number {
    return this.#running;
  }

  get queued(): number {
    let queued = 0;
    for (const { line } of this.#users.values()) queued += line.size;
    return queued;
  }

  /**
   * Resolves when it is this user's turn. Rejects with `too_many_requests` when the user has used up what is theirs, with
   * `no_capacity` when too many others wait, with `signal.reason` when aborted first.
   * @param userKey those who share a key take one turn
   */
  async enter(userKey: string, signal: AbortSignal, allowance: Allowance = UNBOUNDED): Promise<Release> {
    signal.throwIfAborted();
    if (allowance.ratePerMinute !== null) {
      await this.#rates.count(userKey, allowance.ratePerMinute);
      signal.throwIfAborted();
    }
    const user = this.#user(userKey);
    user.concurrency = allowance.concurrency ?? Number.POSITIVE_INFINITY;
    const turnIsFree = this.#running < this.#limits.maxRunning && user.line.size === 0;
    if (turnIsFree && user.running < user.concurrency) return this.#begin(userKey, user);
    if (this.queued >= this.#limits.maxQueued && !this.#makeRoomFor(user)) {
      this.#forgetIfIdle(userKey, user);
      throw this.#refusal(user);
    }
    try {
      return await user.line.join(signal).served;
    } catch (error) {
      this.#forgetIfIdle(userKey, user);
      throw error;
    }
  }

  /** Why somebody of this user has waited too long: their own calls are in the way, or everybody's. */
  waitedTooLong(userKey: string, waitedMs: number): GatewayError {
    const user = this.#users.get(userKey);
    if (user !== undefined && user.running >= user.concurrency) return this.#ownSlotsUsedUp(user);
    const message = `No sandbox was free within ${waitedMs} ms; try again later.`;
    return new GatewayError('no_capacity', message, { retryAfterSeconds: this.retryAfterSeconds });
  }

  /** Seconds until the queue of now will have been worked off, at least 1. */
  get retryAfterSeconds(): number {
    return this.#secondsFor(this.queued + this.#running, this.#limits.maxRunning);
  }

  #secondsFor(invocations: number, atOnce: number): number {
    return Math.max(1, Math.ceil((invocations * this.#meanMs) / atOnce / 1_000));
  }

  /** Refuses the newest of the longest line, unless the newcomer's own would then be as long. */
  #makeRoomFor(newcomer: User): boolean {
    let longest = newcomer;
    for (const user of this.#users.values()) if (user.line.size > longest.line.size) longest = user;
    if (longest.line.size <= newcomer.line.size + 1) return false;
    longest.line.newest()?.refuse(this.#refusal(longest));
    return true;
  }

  #refusal(user: User): GatewayError {
    // Whoever has calls waiting already is held up by their own flood, and others are not to blame.
    if (user.line.size > 0 || user.running >= user.concurrency) return this.#ownSlotsUsedUp(user);
    const message = `${this.queued} invocations wait already; try again later.`;
    return new GatewayError('no_capacity', message, { retryAfterSeconds: this.retryAfterSeconds });
  }

  #ownSlotsUsedUp({ running, concurrency, line }: User): GatewayError {
    const slots = Math.min(concurrency, this.#limits.maxRunning);
    const message = `${running} of your invocations run and ${line.size} wait already; try again later.`;
    const retryAfterSeconds = this.#secondsFor(running + line.size, slots);
    return new GatewayError('too_many_requests', message, { retryAfterSeconds });
  }

  #begin(userKey: string, user: User): Release {
    const startedAt = performance.now();
    let released = false;
    user.running += 1;
    this.#running += 1;
    return () => {
      if (released) return;
      released = true;
      user.running -= 1;
      this.#running -= 1;
      this.#meanMs += (performance.now() - startedAt - this.#meanMs) / 16;
      this.#forgetIfIdle(userKey, user);
      this.#serveNext();
    };
  }

  #serveNext(): void {
    while (this.#running < this.#limits.maxRunning) {
      const next = this.#nextInTurn();
      if (next === undefined) return;
      next.waiter.serve(this.#begin(next.key, next.user));
    }
  }

  #nextInTurn(): { key: string; user: User; waiter: Waiter<Release> } | undefined {
    for (const [key, user] of this.#users) {
      if (user.running >= user.concurrency) continue;
      const waiter = user.line.shift();
      if (waiter === undefined) continue;
      // To the end of the turn: a map keeps the order of insertion.
      this.#users.delete(key);
      this.#users.set(key, user);
      return { key, user, waiter };
    }
    return undefined;
  }

  #user(key: string): User {
    let user = this.#users.get(key);
    if (user === undefined) {
      user = { running: 0, concurrency: Number.POSITIVE_INFINITY, line: new Waiters() };
      this.#users.set(key, user);
    }
    return user;
  }

  #forgetIfIdle(key: string, user: User): void {
    // The key may be another's by now: a caller who left hears of it later than everybody else.
    if (user.running > 0 || user.line.size > 0 || this.#users.get(key) !== user) return;
    this.#users.delete(key);
  }
}
