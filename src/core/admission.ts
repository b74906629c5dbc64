import { GatewayError } from '../errors.ts';
import { Rates } from './rates.ts';
import { Waiters } from './waiters.ts';

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

/** One of several slots is left to those who wait for their answers. */
const mayRunBehind = ({ running, behind, concurrency }: User) =>
  running < concurrency && behind < Math.max(1, concurrency - 1);

interface User {
  running: number;
  /** By the token of their newest call. */
  concurrency: number;
  readonly line: Waiters<Release>;
  /** Those whom nobody waits for. */
  readonly lineBehind: Waiters<Release>;
  /** Of those that run, how many nobody waits for. */
  behind: number;
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
    for (const { line, lineBehind } of this.#users.values()) queued += line.size + lineBehind.size;
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
      await this.count(userKey, allowance);
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

  /**
   * As `enter`, for an invocation that nobody waits for. It waits behind everybody else's, leaves its user a slot if they have
   * more than one, and was counted when it was accepted. How many there are at once is for the caller to bound.
   */
  async enterBehind(
    userKey: string,
    signal: AbortSignal,
    allowance: Allowance = UNBOUNDED,
  ): Promise<Release> {
    signal.throwIfAborted();
    const user = this.#user(userKey);
    user.concurrency = allowance.concurrency ?? Number.POSITIVE_INFINITY;
    // While there is room, only those wait whose own slots are used up.
    const turnIsFree = this.#running < this.#limits.maxRunning && user.lineBehind.size === 0;
    if (turnIsFree && mayRunBehind(user)) return this.#begin(userKey, user, true);
    try {
      return await user.lineBehind.join(signal).served;
    } catch (error) {
      this.#forgetIfIdle(userKey, user);
      throw error;
    }
  }

  /** Counts an invocation against its user's rate. Rejects with `too_many_requests` when that is used up. */
  async count(userKey: string, { ratePerMinute }: Pick<Allowance, 'ratePerMinute'>): Promise<void> {
    if (ratePerMinute !== null) await this.#rates.count(userKey, ratePerMinute);
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

  #begin(userKey: string, user: User, behind = false): Release {
    const startedAt = performance.now();
    let released = false;
    user.running += 1;
    if (behind) user.behind += 1;
    this.#running += 1;
    return () => {
      if (released) return;
      released = true;
      user.running -= 1;
      if (behind) user.behind -= 1;
      this.#running -= 1;
      this.#meanMs += (performance.now() - startedAt - this.#meanMs) / 16;
      this.#forgetIfIdle(userKey, user);
      this.#serveNext();
    };
  }

  #serveNext(): void {
    while (this.#running < this.#limits.maxRunning) {
      const next = this.#nextInTurn(false) ?? this.#nextInTurn(true);
      if (next === undefined) return;
      next.waiter.serve(this.#begin(next.key, next.user, next.behind));
    }
  }

  #nextInTurn(behind: boolean) {
    for (const [key, user] of this.#users) {
      if (user.running >= user.concurrency || (behind && !mayRunBehind(user))) continue;
      const waiter = (behind ? user.lineBehind : user.line).shift();
      if (waiter === undefined) continue;
      // To the end of the turn: a map keeps the order of insertion.
      this.#users.delete(key);
      this.#users.set(key, user);
      return { key, user, waiter, behind };
    }
    return undefined;
  }

  #user(key: string): User {
    let user = this.#users.get(key);
    if (user === undefined) {
      user = {
        running: 0,
        concurrency: Number.POSITIVE_INFINITY,
        line: new Waiters(),
        lineBehind: new Waiters(),
        behind: 0,
      };
      this.#users.set(key, user);
    }
    return user;
  }

  #forgetIfIdle(key: string, user: User): void {
    // The key may be another's by now: a caller who left hears of it later than everybody else.
    if (user.running > 0 || user.line.size + user.lineBehind.size > 0 || this.#users.get(key) !== user)
      return;
    this.#users.delete(key);
  }
}
