import type { Sandbox } from './sandbox.ts';

/** starting → ready → taken → gone; starting and ready may also go when they fail, die or age out. */
export type SlotState = 'starting' | 'ready' | 'taken' | 'gone';

const TRANSITIONS: Readonly<Record<SlotState, readonly SlotState[]>> = {
  starting: ['ready', 'gone'],
  ready: ['taken', 'gone'],
  taken: ['gone'],
  gone: [],
};

/** A sandbox's place in its pool, from before it boots until after it is gone. */
export interface Slot {
  readonly id: string;
  readonly state: SlotState;
  /** Boots for one caller alone, who asked for a cold start. */
  readonly reserved: boolean;
  sandbox: Sandbox | null;
  readyAt: number;
}

/** The slots of a pool, oldest first. A slot that is gone is forgotten. */
export class Slots {
  readonly #slots = new Map<string, Slot & { state: SlotState }>();
  #created = 0;

  add(reserved: boolean): Slot {
    this.#created += 1;
    const slot = {
      id: String(this.#created),
      state: 'starting' as SlotState,
      reserved,
      sandbox: null,
      readyAt: 0,
    };
    this.#slots.set(slot.id, slot);
    return slot;
  }

  /** The only place where a slot changes its state. */
  move(slot: Slot, to: SlotState): void {
    if (!TRANSITIONS[slot.state].includes(to)) {
      throw new Error(`slot ${slot.id} cannot go from ${slot.state} to ${to}`);
    }
    this.#slots.get(slot.id)!.state = to;
    if (to === 'gone') this.#slots.delete(slot.id);
  }

  get(id: string): Slot {
    return this.#slots.get(id)!;
  }

  in(state: SlotState): Slot[] {
    return [...this.#slots.values()].filter((slot) => slot.state === state);
  }

  count(state: SlotState): number {
    return this.in(state).length;
  }

  get size(): number {
    return this.#slots.size;
  }

  oldestReady(): Slot | undefined {
    for (const slot of this.#slots.values()) if (slot.state === 'ready') return slot;
    return undefined;
  }
}
