const MASK = '***';
/** Shorter values, such as `1` or `on`, would mask half of every log and hide nothing. */
const MIN_SECRET_LENGTH = 4;

/** Collects what one invocation prints, up to a bound. */
export class LogBuffer {
  readonly #limitBytes: number;
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;
  #truncated = false;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  append(chunk: Uint8Array): void {
    const room = this.#limitBytes - this.#bytes;
    if (chunk.byteLength > room) this.#truncated = true;
    if (room <= 0) return;
    const kept = chunk.byteLength > room ? chunk.subarray(0, room) : chunk;
    // Copied, because frames are views of a larger read that would be kept alive as a whole.
    this.#chunks.push(Uint8Array.from(kept));
    this.#bytes += kept.byteLength;
  }

  get truncated(): boolean {
    return this.#truncated;
  }

  /** The text, with secrets masked. Bytes that are not UTF-8 become U+FFFD. */
  text(secrets: Iterable<string>): string {
    return redact(Buffer.concat(this.#chunks).toString('utf8'), secrets);
  }
}

/** Masks secrets wherever they stand, longest first, so that one which holds another is masked whole. */
export function redact(text: string, secrets: Iterable<string>): string {
  const values = [...secrets].filter((value) => value.length >= MIN_SECRET_LENGTH);
  values.sort((a, b) => b.length - a.length);
  return values.reduce((masked, value) => masked.replaceAll(value, MASK), text);
}
