import type { Readable, Writable } from 'node:stream';
import { Duplex } from 'node:stream';

/** A child process's standard input and output as one stream. Ends when the output does. */
export class ProcessChannel extends Duplex {
  readonly #stdin: Writable;
  readonly #stdout: Readable;

  constructor(stdin: Writable, stdout: Readable) {
    // Ends as a whole when the other side ends: nobody is left there to write to.
    super({ allowHalfOpen: false });
    this.#stdin = stdin;
    this.#stdout = stdout;
    stdout.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) stdout.pause();
    });
    let ended = false;
    stdout.on('end', () => {
      ended = true;
      this.push(null);
    });
    // After an end what a slow reader has not read yet is still its own; the stream then destroys itself.
    stdout.on('close', () => ended || this.destroy());
    stdout.on('error', (error) => this.destroy(error));
    stdin.on('error', (error) => this.destroy(error));
  }

  override _read(): void {
    this.#stdout.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#stdin.write(chunk, done);
  }

  override _final(done: () => void): void {
    this.#stdin.end(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#stdin.destroy();
    this.#stdout.destroy();
    done(error);
  }
}
