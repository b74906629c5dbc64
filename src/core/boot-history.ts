import { GatewayError, messageOf } from '../errors.ts';
import { bootBackoffMs } from './pool-plan.ts';

/** How the boots of one pool went, and when the next may begin. */
export class BootHistory {
  /** That the last one booted from; `undefined` before the first. */
  #image: string | null | undefined;
  #failures = 0;
  #failuresInRow = 0;
  #lastError: GatewayError | null = null;
  #notBefore = Number.NEGATIVE_INFINITY;

  /** All of them so far. */
  get failures(): number {
    return this.#failures;
  }

  /** Why the last boot failed; `null` once one succeeded. */
  get lastError(): GatewayError | null {
    return this.#lastError;
  }

  /** When the next boot may begin, by the clock that failures are told by, ms. */
  get notBefore(): number {
    return this.#notBefore;
  }

  /** Whether what was true of earlier sandboxes may not be of this one: it follows on failures, or is from another image. */
  succeeded(image: string | null): boolean {
    const isNew = this.#failuresInRow > 0 || (this.#image !== undefined && this.#image !== image);
    this.#image = image;
    this.#failuresInRow = 0;
    this.#lastError = null;
    this.#notBefore = Number.NEGATIVE_INFINITY;
    return isNew;
  }

  /**
   * Puts the next boot off, for longer after each failure in a row.
   * @param now ms
   * @param random in [0, 1)
   */
  failed(error: unknown, now: number, random: number): GatewayError {
    this.#failures += 1;
    this.#failuresInRow += 1;
    this.#notBefore = now + bootBackoffMs(this.#failuresInRow, random);
    this.#lastError =
      error instanceof GatewayError
        ? error
        : new GatewayError('engine_unavailable', messageOf(error), { cause: error });
    return this.#lastError;
  }
}
