/**
 * How many sandboxes may boot at once and exist at all, over all pools: what protects the engine and the host.
 * Pools ask before they boot, and are told when asking again is worthwhile.
 */
export class BootBudget {
  readonly #maxBooting: number;
  readonly #maxSandboxes: number;
  #booting = 0;
  #sandboxes = 0;
  #onRoom: () => void = () => {};

  constructor(limits: { maxBooting: number; maxSandboxes: number }) {
    this.#maxBooting = limits.maxBooting;
    this.#maxSandboxes = limits.maxSandboxes;
  }

  /** Sandboxes that may begin to boot now. */
  get allowed(): number {
    return Math.max(0, Math.min(this.#maxBooting - this.#booting, this.#maxSandboxes - this.#sandboxes));
  }

  /** Whether only the number of sandboxes, and not of boots, stands in the way: destroying a warm one would make room. */
  get full(): boolean {
    return this.#sandboxes >= this.#maxSandboxes;
  }

  whenRoom(callback: () => void): void {
    this.#onRoom = callback;
  }

  bootBegins(): void {
    this.#booting += 1;
    this.#sandboxes += 1;
  }

  bootEnds(): void {
    this.#booting -= 1;
    this.#onRoom();
  }

  sandboxGone(): void {
    this.#sandboxes -= 1;
    this.#onRoom();
  }
}
