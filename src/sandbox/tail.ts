/** Keeps the last bytes of a stream that may be endless. */
export class Tail {
  readonly #limitBytes: number;
  #kept: Buffer = Buffer.alloc(0);

  constructor(limitBytes = 4_096) {
    this.#limitBytes = limitBytes;
  }

  append(chunk: Buffer): void {
    const joined = Buffer.concat([this.#kept, chunk.subarray(-this.#limitBytes)]);
    this.#kept = joined.subarray(-this.#limitBytes);
  }

  text(): string {
    return this.#kept.toString('utf8');
  }
}
