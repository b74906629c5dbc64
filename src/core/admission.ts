import { GatewayError } from '../errors.ts';
import { type Waiter, Waiters } from './waiters.ts';

export interface AdmissionLimits {
  /** Invocations that run at once, over all users. */
  maxRunning: number;
  /** Invocations that wait, over all users. */
  maxQueued: number;
}

/** Ends an admission. Calling it again does nothing. */
export type Release = () => void;

interface User {
  running: number;
  readonly line: Waiters<Release>;
}

/**
 * Lets so many invocations run and the rest wait. Users take turns: whoever floods waits behind their own flood, and another's
 * first call is next in turn. When too many wait, whoever has most in the queue gives way to who has fewer.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
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
   * Resolves when it is this user's turn. Rejects with `no_capacity` when too many wait, with `signal.reason` when aborted first.
   * @param userKey those who share a key take one turn
   */
  async enter(userKey: string, signal: AbortSignal): Promise<Release> {
    signal.throwIfAborted();
    const user = this.#user(userKey);
    const { queued } = this;
    if (this.#running < this.#limits.maxRunning && queued === 0) return this.#begin(userKey, user);
    if (queued >= this.#limits.maxQueued && !this.#makeRoomFor(user)) {
      this.#forgetIfIdle(userKey, user);
      throw this.#queueFull();
    }
    try {
      return await user.line.join(signal).served;
    } catch (error) {
      this.#forgetIfIdle(userKey, user);
      throw error;
    }
  }

  /** Seconds until the queue of now will have been worked off, at least 1. */
  get retryAfterSeconds(): number {
    const ahead = this.queued + this.#running;
    return Math.max(1, Math.ceil((ahead * this.#meanMs) / this.#limits.maxRunning / 1_000));
  }

  /** Refuses the newest of the longest line, unless the newcomer's own would then be as long. */
  #makeRoomFor(newcomer: User): boolean {
    let longest = newcomer;
    for (const user of this.#users.values()) if (user.line.size > longest.line.size) longest = user;
    if (longest.line.size <= newcomer.line.size + 1) return false;
    longest.line.newest()?.refuse(this.#queueFull());
    return true;
  }

  #queueFull(): GatewayError {
    const message = `${this.queued} invocations wait already; try again later.`;
    return new GatewayError('no_capacity', message, { retryAfterSeconds: this.retryAfterSeconds });
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
      user = { running: 0, line: new Waiters() };
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
