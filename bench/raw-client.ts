import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  ms: number;
  status: number;
  start: string | undefined;
}

/**
 * One kept connection, one request at a time, and no more parsing than it takes to know that an answer is whole: so that the time is the
 * gateway's and not the client's.
 */
export class RawClient {
  readonly #socket: Socket;
  #received = '';
  #waiting: ((answer: { status: number; start: string | undefined }) => void) | undefined;
  #fail: ((error: Error) => void) | undefined;

  constructor(host: string, port: number) {
    this.#socket = connect({ host, port, noDelay: true });
    this.#socket.setEncoding('latin1');
    this.#socket.on('data', (text: string) => {
      this.#received += text;
      this.#deliver();
    });
    this.#socket.on('error', (error) => this.#fail?.(error));
    this.#socket.on('close', () => this.#fail?.(new Error('the gateway closed the connection')));
  }

  /** @param head with its empty line, and a body of one byte a character after it */
  request(head: string): Promise<RawAnswer> {
    return new Promise((resolve, reject) => {
      const beganAt = performance.now();
      this.#waiting = (answer) => resolve({ ms: performance.now() - beganAt, ...answer });
      this.#fail = reject;
      this.#socket.write(head, 'latin1');
    });
  }

  /** The server may have closed it while nothing was asked. */
  get isOpen(): boolean {
    return !this.#socket.destroyed && this.#socket.readyState !== 'closed' && !this.#socket.readableEnded;
  }

  close(): void {
    this.#fail = undefined;
    this.#socket.destroy();
  }

  #deliver(): void {
    const end = this.#received.indexOf('\r\n\r\n');
    if (end === -1) return;
    const head = this.#received.slice(0, end);
    const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
    const isWhole =
      length === undefined
        ? this.#received.endsWith('0\r\n\r\n')
        : this.#received.length >= end + 4 + Number(length);
    if (!isWhole) return;
    this.#received = '';
    const start = /\r\nx-cronium-start: (\w+)/i.exec(head)?.[1];
    this.#waiting?.({ status: Number(head.slice(9, 12)), start });
  }
}
