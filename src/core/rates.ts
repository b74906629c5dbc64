import type { RateLimiterRes } from 'rate-limiter-flexible';
import RateLimiterMemory from 'rate-limiter-flexible/lib/RateLimiterMemory.js';
import { GatewayError } from '../errors.ts';

const WINDOW_SECONDS = 60;

/** Counts each user's invocations in windows of a minute. */
export class Rates {
  /** By rate: users of the same tier share a limiter and not a count. */
  readonly #limiters = new Map<number, RateLimiterMemory>();

  /** @throws GatewayError `too_many_requests` with the time until the window ends */
  async count(userKey: string, perMinute: number): Promise<void> {
    let limiter = this.#limiters.get(perMinute);
    if (limiter === undefined) {
      limiter = new RateLimiterMemory({ points: perMinute, duration: WINDOW_SECONDS });
      this.#limiters.set(perMinute, limiter);
    }
    try {
      await limiter.consume(userKey);
    } catch (refusal) {
      const retryAfterSeconds = Math.max(1, Math.ceil((refusal as RateLimiterRes).msBeforeNext / 1_000));
      const message = `More than ${perMinute} invocations in a minute, which is your tier's rate.`;
      throw new GatewayError('too_many_requests', message, { retryAfterSeconds });
    }
  }
}
