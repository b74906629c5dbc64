const MASK = '***';
/** Shorter values, such as `1` or `on`, would mask half of every log and hide nothing. */
const MIN_SECRET_LENGTH = 4;
/** Of a secret in several lines, the short ones are brackets and not what is to be hidden. */
const MIN_LINE_LENGTH = 8;
const FIRST_BYTES = 1_024;

/** Collects what one invocation prints, up to a bound. */
export class LogBuffer {
  readonly #limitBytes: number;
  /** Grows as it fills: a chunk kept by itself would cost a function that prints byte by byte a hundred times what it printed. */
  #kept: Buffer = Buffer.alloc(0);
  #bytes = 0;
  #truncated = false;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  append(chunk: Uint8Array): void {
    const fits = chunk.subarray(0, this.#limitBytes - this.#bytes);
    if (fits.byteLength < chunk.byteLength) this.#truncated = true;
    const needed = this.#bytes + fits.byteLength;
    if (needed > this.#kept.byteLength) {
      const grown = Buffer.alloc(Math.min(this.#limitBytes, Math.max(FIRST_BYTES, needed * 2)));
      grown.set(this.#kept.subarray(0, this.#bytes));
      this.#kept = grown;
    }
    this.#kept.set(fits, this.#bytes);
    this.#bytes = needed;
  }

  get truncated(): boolean {
    return this.#truncated;
  }

  /** The text, with secrets masked. Bytes that are not UTF-8 become U+FFFD. */
  text(secrets: Iterable<string>): string {
    return redact(this.#kept.toString('utf8', 0, this.#bytes), secrets);
  }
}

/** Masks secrets wherever they stand, overlapping ones too, in the forms in which they get printed. */
export function redact(text: string, secrets: Iterable<string>): string {
  const found: [from: number, to: number][] = [];
  for (const form of new Set([...secrets].flatMap(formsOf))) {
    for (let at = text.indexOf(form); at >= 0; at = text.indexOf(form, at + 1))
      found.push([at, at + form.length]);
  }
  found.sort(([a], [b]) => a - b);
  let masked = '';
  let done = 0;
  for (const [from, to] of found) {
    if (from >= done) masked += text.slice(done, from) + MASK;
    done = Math.max(done, to);
  }
  return masked + text.slice(done);
}

/** As it is, without the blanks around it, as in JSON, and line by line: a key is often printed with a prefix on each line. */
function formsOf(secret: string): string[] {
  const trimmed = secret.trim();
  const lines = trimmed.includes('\n') ? trimmed.split('\n').map((line) => line.trim()) : [];
  return [
    ...[secret, trimmed, JSON.stringify(trimmed).slice(1, -1)].filter(
      ({ length }) => length >= MIN_SECRET_LENGTH,
    ),
    ...lines.filter(({ length }) => length >= MIN_LINE_LENGTH),
  ];
}
