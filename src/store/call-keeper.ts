import type { EndedCall } from '../core/replays/keeping-invoker.ts';
import { keptCall } from '../core/replays/kept-call.ts';
import type { KeptCall, ReplayStore } from '../core/replays/replay.ts';

export interface CallKeeperOptions {
  store: Pick<ReplayStore, 'keep'>;
  /** Largest payload, and largest answer, that is kept of a call, bytes; 0 keeps none. */
  maxBytes: number;
  /** Told of a write that failed; what it held is given up. May not throw. */
  onError: (error: unknown) => void;
  /** How long a call waits for others to be written with, ms. */
  delayMs?: number;
  /** Calls that wait at most; those that come then are not kept. */
  capacity?: number;
}

const BATCH = 32;
/** Payloads and answers in one write, characters: a write blocks the event loop. */
const BATCH_CHARS = 2 ** 20;

/** Writes what calls were given and answered behind their answers. Losing one costs no more than that it cannot be run again. */
export class CallKeeper {
  readonly #options: Required<CallKeeperOptions>;
  readonly #waiting: EndedCall[] = [];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #closed = false;

  constructor(options: CallKeeperOptions) {
    this.#options = { delayMs: 50, capacity: 1_000, ...options };
  }

  keep(call: EndedCall): void {
    const { maxBytes, capacity } = this.#options;
    if (maxBytes === 0 || this.#closed || this.#waiting.length >= capacity) return;
    this.#waiting.push(call);
    this.#schedule();
  }

  /** Resolves when what waited is written or given up. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#waiting.length > 0 || this.#writing !== undefined) await this.#write();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.flush();
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#writing !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#write();
    }, this.#options.delayMs);
    this.#timer.unref();
  }

  #write(): Promise<void> {
    this.#writing ??= this.#writeBatch().finally(() => {
      this.#writing = undefined;
      if (this.#waiting.length > 0) this.#schedule();
    });
    return this.#writing;
  }

  async #writeBatch(): Promise<void> {
    const { store, maxBytes, onError } = this.#options;
    const batch: KeptCall[] = [];
    for (let chars = 0; chars < BATCH_CHARS && batch.length < BATCH; ) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      const kept = keptCall(next, maxBytes);
      if (kept === undefined) continue;
      batch.push(kept);
      chars += kept.payload.length + (kept.result?.body.length ?? 0);
    }
    if (batch.length === 0) return;
    try {
      await store.keep(batch);
    } catch (error) {
      onError(error);
    }
  }
}
