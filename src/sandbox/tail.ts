/** Keeps the last bytes of a stream that may be endless, in a ring: a byte costs the same however few come at once. */
export class Tail {
  readonly #ring: Buffer;
  /** Bytes that have come in all. */
  #seen = 0;

  constructor(limitBytes = 4_096) {
    this.#ring = Buffer.alloc(limitBytes);
  }

  append(chunk: Buffer): void {
    const size = this.#ring.byteLength;
    const last = chunk.subarray(-size);
    this.#seen += chunk.byteLength - last.byteLength;
    const toTheEdge = last.subarray(0, size - (this.#seen % size));
    this.#ring.set(toTheEdge, this.#seen % size);
    this.#ring.set(last.subarray(toTheEdge.byteLength), 0);
    this.#seen += last.byteLength;
  }

  text(): string {
    const size = this.#ring.byteLength;
    if (this.#seen <= size) return this.#ring.toString('utf8', 0, this.#seen);
    const edge = this.#seen % size;
    return Buffer.concat([this.#ring.subarray(edge), this.#ring.subarray(0, edge)]).toString('utf8');
  }
}
