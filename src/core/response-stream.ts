/** Bytes that may wait for a slow client before its function is held back. */
const HIGH_WATER_BYTES = 256 * 1_024;
/** What a chunk costs in memory however small it is, bytes. */
const MIN_CHUNK_COST = 256;

/** A response body that is written as a sandbox sends it and read as a client takes it. */
export class ResponseStream {
  readonly readable: ReadableStream<Uint8Array>;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #resume: (() => void) | undefined;
  #open = true;

  /** @param onCancel the client does not want the rest */
  constructor(onCancel: () => void) {
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#release(),
        cancel: () => {
          this.#open = false;
          this.#release();
          onCancel();
        },
      },
      { highWaterMark: HIGH_WATER_BYTES, size: (chunk) => Math.max(chunk.byteLength, MIN_CHUNK_COST) },
    );
  }

  /** A returned promise settles when the client has caught up. */
  write(chunk: Uint8Array): void | Promise<void> {
    if (!this.#open || chunk.byteLength === 0) return;
    this.#controller.enqueue(chunk);
    if ((this.#controller.desiredSize ?? 0) > 0) return;
    return new Promise((resolve) => {
      this.#resume = resolve;
    });
  }

  end(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#controller.close();
  }

  /** The client sees a cut connection and not a short answer. */
  fail(error: Error): void {
    this.#release();
    if (!this.#open) return;
    this.#open = false;
    this.#controller.error(error);
  }

  #release(): void {
    this.#resume?.();
    this.#resume = undefined;
  }
}
