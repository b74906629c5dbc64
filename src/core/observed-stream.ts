export interface StreamEnd {
  /** What is more is not kept. */
  maxBytes: number;
  /** The whole, or `undefined` when it was more; the reader is told of the end after this. Must not reject. */
  ended: (whole: Uint8Array | undefined) => Promise<void>;
  /** Must not reject. */
  failed: (error: unknown) => Promise<void>;
}

const FIRST_BYTES = 4_096;

/** Passes a stream on and keeps what passed. A reader that goes does not end it: the rest is read all the same. */
export function observed(source: ReadableStream<Uint8Array>, end: StreamEnd): ReadableStream<Uint8Array> {
  const reader = source.getReader();
  const kept = new Kept(end.maxBytes);
  let over = false;
  const next = async (): Promise<Uint8Array | undefined> => {
    try {
      const { done, value } = await reader.read();
      if (!done) {
        kept.add(value);
        return value;
      }
    } catch (error) {
      if (!over) {
        over = true;
        await end.failed(error);
      }
      throw error;
    }
    if (!over) {
      over = true;
      await end.ended(kept.whole);
    }
    return undefined;
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const chunk = await next();
        if (chunk === undefined) controller.close();
        else controller.enqueue(chunk);
      },
      cancel() {
        const rest = async () => {
          while ((await next()) !== undefined);
        };
        // Who keeps it was told of a failure, and nobody reads any more.
        rest().catch(() => {});
      },
    },
    { highWaterMark: 0 },
  );
}

/** Grows as it fills: chunks kept one by one would cost a hundred times their size when they are tiny. */
class Kept {
  readonly #maxBytes: number;
  #buffer: Buffer = Buffer.alloc(0);
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  add(chunk: Uint8Array): void {
    const from = this.#bytes;
    this.#bytes += chunk.byteLength;
    if (this.#bytes > this.#maxBytes) {
      this.#buffer = Buffer.alloc(0);
      return;
    }
    if (this.#bytes > this.#buffer.byteLength) {
      const grown = Buffer.alloc(Math.min(this.#maxBytes, Math.max(FIRST_BYTES, this.#bytes * 2)));
      grown.set(this.#buffer.subarray(0, from));
      this.#buffer = grown;
    }
    this.#buffer.set(chunk, from);
  }

  /** `undefined` when it was too much. */
  get whole(): Uint8Array | undefined {
    return this.#bytes > this.#maxBytes ? undefined : this.#buffer.subarray(0, this.#bytes);
  }
}
