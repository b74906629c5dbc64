import type { ResponseHead } from './sandbox.ts';

/**
 * The beginning of a streamed response, held back until the event loop has come round: a function that is done by then is answered whole,
 * with its length known, and one that has failed by then with an error.
 */
export class HeldHead {
  readonly head: ResponseHead;
  readonly #chunks: Uint8Array[] = [];
  readonly #immediate: NodeJS.Immediate;
  #held = true;

  /** @param onRelease the response is a stream after all, and begins with these chunks */
  constructor(head: ResponseHead, onRelease: (chunks: readonly Uint8Array[]) => void) {
    this.head = head;
    this.#immediate = setImmediate(() => {
      this.#held = false;
      onRelease(this.#chunks);
    });
  }

  /** `false` when it is held no longer, and the chunk is the stream's. */
  keep(chunk: Uint8Array): boolean {
    if (this.#held) this.#chunks.push(chunk);
    return this.#held;
  }

  /** Everything there was, when the function is done; `undefined` when it is held no longer. */
  take(): Uint8Array | undefined {
    if (!this.#held) return undefined;
    this.#held = false;
    clearImmediate(this.#immediate);
    return Buffer.concat(this.#chunks);
  }
}
