import type { Readable, Writable } from 'node:stream';
import { Duplex } from 'node:stream';

/** A child process's standard input and output as one stream. Ends when the output does. */
export class ProcessChannel extends Duplex {
  readonly #stdin: Writable;
  readonly #stdout: Readable;

  constructor(stdin: Writable, stdout: Readable) {
    super();
    this.#stdin = stdin;
    this.#stdout = stdout;
    stdout.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) stdout.pause();
    });
    stdout.on('end', () => this.push(null));
    stdout.on('close', () => this.destroy());
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
