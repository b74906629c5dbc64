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
 * first call is next in turn.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  /** Those who run or wait, in the order of their next turn. */
  readonly #users = new Map<string, User>();
  #running = 0;
  #queued = 0;
  /** Mean duration of recent invocations, ms: what `Retry-After` is reckoned from. */
  #meanMs = 100;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  get running(): number {
    return this.#running;
  }

  get queued(): number {
    return this.#queued;
  }

  /**
   * Resolves when it is this user's turn. Rejects with `no_capacity` when too many wait, with `signal.reason` when aborted first.
   * @param userKey those who share a key take one turn
   */
  async enter(userKey: string, signal: AbortSignal): Promise<Release> {
    signal.throwIfAborted();
    const user = this.#user(userKey);
    if (this.#running < this.#limits.maxRunning && this.#queued === 0) return this.#begin(userKey, user);
    if (this.#queued >= this.#limits.maxQueued) {
      this.#forgetIfIdle(userKey, user);
      const message = `${this.#queued} invocations wait already; try again later.`;
      throw new GatewayError('no_capacity', message, { retryAfterSeconds: this.retryAfterSeconds });
    }
    this.#queued += 1;
    try {
      const { served } = user.line.join(signal);
      return await served;
    } catch (error) {
      this.#queued -= 1;
      this.#forgetIfIdle(userKey, user);
      throw error;
    }
  }

  /** Seconds until the queue of now will have been worked off, at least 1. */
  get retryAfterSeconds(): number {
    const ahead = this.#queued + this.#running;
    return Math.max(1, Math.ceil((ahead * this.#meanMs) / this.#limits.maxRunning / 1_000));
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
      this.#queued -= 1;
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
    if (user.running === 0 && user.line.size === 0) this.#users.delete(key);
  }
}
