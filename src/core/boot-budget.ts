import type { Clock } from './clock.ts';

export interface BootLimits {
  maxBooting: number;
  /** In all states together. */
  maxSandboxes: number;
  /** Whether the host has so little memory left that another sandbox would endanger it. */
  isMemoryShort?: () => boolean;
  clock: Clock;
}

/** How often to look whether memory has come free, ms. */
const MEMORY_POLL_MS = 500;

/**
 * How many sandboxes may boot at once and exist at all, over all pools: what protects the engine and the host.
 * Pools ask before they boot, and are told when asking again is worthwhile.
 */
export class BootBudget {
  readonly #limits: BootLimits;
  #booting = 0;
  #sandboxes = 0;
  #onRoom: () => void = () => {};
  #cancelPoll: (() => void) | undefined;

  constructor(limits: BootLimits) {
    this.#limits = limits;
  }

  /** Sandboxes that may begin to boot now. Asking while memory is short has `whenRoom` called when it may have come free. */
  get allowed(): number {
    const { maxBooting, maxSandboxes, isMemoryShort, clock } = this.#limits;
    const room = Math.min(maxBooting - this.#booting, maxSandboxes - this.#sandboxes);
    if (room <= 0) return 0;
    if (!isMemoryShort?.()) return room;
    this.#cancelPoll ??= clock.after(MEMORY_POLL_MS, () => {
      this.#cancelPoll = undefined;
      this.#onRoom();
    });
    return 0;
  }

  /** Whether nothing boots because the host is short of memory. */
  get shortOfMemory(): boolean {
    return this.#limits.isMemoryShort?.() ?? false;
  }

  /** Whether only the number of sandboxes, and not of boots, stands in the way: destroying a warm one would make room. */
  get full(): boolean {
    return this.#sandboxes >= this.#limits.maxSandboxes;
  }

  whenRoom(callback: () => void): void {
    this.#onRoom = callback;
  }

  close(): void {
    this.#onRoom = () => {};
    this.#cancelPoll?.();
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
