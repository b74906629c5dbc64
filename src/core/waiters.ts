/** Callers in line for something. Each is settled once: served, refused, or gone by its own signal. */
export class Waiters<T> {
  readonly #line = new Set<Waiter<T>>();

  get size(): number {
    return this.#line.size;
  }

  /** Waits at the end of the line. Rejects with `signal.reason` when aborted first. */
  join(signal: AbortSignal): { waiter: Waiter<T>; served: Promise<T> } {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const waiter = new Waiter<T>(resolve, reject, () => {
      signal.removeEventListener('abort', onAbort);
      this.#line.delete(waiter);
    });
    const onAbort = () => waiter.refuse(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    this.#line.add(waiter);
    return { waiter, served: promise };
  }

  /** The one who has waited longest leaves the line, still to be served. */
  shift(): Waiter<T> | undefined {
    const first = this.#line.values().next().value;
    if (first !== undefined) this.#line.delete(first);
    return first;
  }

  /** The one who came last, still in the line. */
  newest(): Waiter<T> | undefined {
    return [...this.#line].at(-1);
  }

  refuseAll(error: unknown): void {
    for (const waiter of [...this.#line]) waiter.refuse(error);
  }
}

export class Waiter<T> {
  readonly #resolve: (value: T) => void;
  readonly #reject: (error: unknown) => void;
  readonly #leave: () => void;
  #settled = false;

  constructor(resolve: (value: T) => void, reject: (error: unknown) => void, leave: () => void) {
    this.#resolve = resolve;
    this.#reject = reject;
    this.#leave = leave;
  }

  /** Nobody is there any more to serve. */
  get settled(): boolean {
    return this.#settled;
  }

  serve(value: T): void {
    this.#settle();
    this.#resolve(value);
  }

  refuse(error: unknown): void {
    if (this.#settled) return;
    this.#settle();
    this.#reject(error);
  }

  #settle(): void {
    if (this.#settled) throw new Error('this waiter has been settled already');
    this.#settled = true;
    this.#leave();
  }
}
