import type { Clock } from '../clock.ts';

/** Who waits for the end of an invocation, by its id. */
export class Ends {
  readonly #clock: Clock;
  readonly #waiting = new Map<string, Set<() => void>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** It may have ended; without an id any may have. */
  tell(id?: string): void {
    const told = id === undefined ? [...this.#waiting.values()] : [this.#waiting.get(id) ?? []];
    for (const listeners of told) for (const listener of [...listeners]) listener();
  }

  /** Begins to listen for one end. */
  listen(id: string): { next(withinMs: number, signal: AbortSignal): Promise<void> } & Disposable {
    const listeners = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, listeners);
    let told = false;
    let wake = () => {};
    const listener = () => {
      told = true;
      wake();
    };
    listeners.add(listener);
    return {
      /** Resolves when it was told since the last time, when the time is over or the signal aborts. */
      next: async (withinMs, signal) => {
        if (!told && !signal.aborted) {
          const { promise, resolve } = Promise.withResolvers<void>();
          const onAbort = () => resolve();
          wake = resolve;
          signal.addEventListener('abort', onAbort, { once: true });
          const cancel = this.#clock.after(withinMs, resolve);
          await promise;
          cancel();
          signal.removeEventListener('abort', onAbort);
        }
        told = false;
      },
      [Symbol.dispose]: () => {
        listeners.delete(listener);
        if (listeners.size === 0 && this.#waiting.get(id) === listeners) this.#waiting.delete(id);
      },
    };
  }
}
