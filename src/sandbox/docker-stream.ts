import { Duplex } from 'node:stream';
import type Docker from 'dockerode';

const HEADER_BYTES = 8;
/** Standard error is 2, and 3 what the engine itself has to complain about. */
const STDOUT = 1;
const NO_BODY = Buffer.alloc(0);

/**
 * Splits an engine's attach stream, in which standard output and error share one connection (Docker Engine API,
 * ContainerAttach, "Stream format"). Written here because the engine library's own splitter ignores backpressure, and a function that
 * prints a gigabyte would then fill the gateway's memory.
 */
export class AttachedChannel extends Duplex {
  readonly #socket: Duplex;
  readonly #onStderr: (chunk: Buffer) => void;
  #header: Buffer = Buffer.alloc(0);
  /** Bytes still to come of the part under way, and whether they are standard error. */
  #remaining = 0;
  #isStderr = false;
  #ended = false;

  constructor(socket: Duplex, onStderr: (chunk: Buffer) => void) {
    // Ends as a whole when the other side ends: nobody is left there to write to.
    super({ allowHalfOpen: false });
    this.#socket = socket;
    this.#onStderr = onStderr;
    socket.on('data', (chunk: Buffer) => this.#split(chunk));
    socket.on('end', () => {
      this.#ended = true;
      this.push(null);
    });
    socket.on('error', (error) => this.destroy(error));
    // After an end what a slow reader has not read yet is still its own; the stream then destroys itself.
    socket.on('close', () => this.#ended || this.destroy());
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, done);
  }

  override _final(done: () => void): void {
    this.#socket.end(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }

  #split(chunk: Buffer): void {
    let rest = chunk;
    while (rest.byteLength > 0) {
      if (this.#remaining === 0) {
        const joined = this.#header.byteLength === 0 ? rest : Buffer.concat([this.#header, rest]);
        if (joined.byteLength < HEADER_BYTES) {
          this.#header = joined;
          return;
        }
        this.#header = Buffer.alloc(0);
        this.#isStderr = joined.readUInt8(0) > STDOUT;
        this.#remaining = joined.readUInt32BE(4);
        rest = joined.subarray(HEADER_BYTES);
        continue;
      }
      const part = rest.subarray(0, this.#remaining);
      this.#remaining -= part.byteLength;
      rest = rest.subarray(part.byteLength);
      if (this.#isStderr) this.#onStderr(part);
      else if (!this.push(part)) this.#socket.pause();
    }
  }
}

/**
 * As the library's own `attach`, which sends the options as a body, too: Docker ignores that, and Podman takes it for the first
 * of the standard input.
 */
export async function attach(
  { modem, id }: Docker.Container,
  onStderr: (chunk: Buffer) => void,
): Promise<AttachedChannel> {
  const attached = new Promise<Duplex>((resolve, reject) => {
    const request = {
      path: `/containers/${id}/attach?`,
      method: 'POST',
      options: { stream: true, stdin: true, stdout: true, stderr: true },
      file: NO_BODY,
      isStream: true,
      hijack: true,
      statusCodes: { 200: true, 404: 'no such container', 500: 'server error' },
    };
    modem.dial(request, (error: unknown, stream: Duplex) => (error ? reject(error) : resolve(stream)));
  });
  const channel = new AttachedChannel(await attached, onStderr);
  // Without a listener an engine that goes away would end the gateway.
  channel.on('error', () => {});
  return channel;
}
