import type { GatewayError } from '../errors.ts';
import { Waiters } from './waiters.ts';

/** Stands before the pools of a runtime: lets callers through, has them wait, or turns them away. */
export class Gate {
  readonly #waiters = new Waiters<void>();
  #state: 'open' | 'held' | GatewayError = 'open';

  /** `undefined` when the way is free; else settles when that is known. Rejects with `signal.reason` when aborted first. */
  pass(signal: AbortSignal): Promise<void> | undefined {
    if (this.#state === 'open') return undefined;
    if (this.#state === 'held') return this.#waiters.join(signal).served;
    throw this.#state;
  }

  get isHeld(): boolean {
    return this.#state === 'held';
  }

  /** Why callers are turned away; `null` when they are not. */
  get refusal(): GatewayError | null {
    return typeof this.#state === 'string' ? null : this.#state;
  }

  hold(): void {
    this.#state = 'held';
  }

  open(): void {
    this.#state = 'open';
    for (let next = this.#waiters.shift(); next !== undefined; next = this.#waiters.shift()) next.serve();
  }

  /** Turns away whoever comes, and whoever waits. */
  refuse(reason: GatewayError): void {
    this.#state = reason;
    this.#waiters.refuseAll(reason);
  }
}
