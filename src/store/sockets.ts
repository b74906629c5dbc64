import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long a server may take to agree that connections end, ms. */
const GOODBYE_MS = 1_000;

/** Connections of node-postgres that can be ended though the server does not answer. */
export class Sockets {
  readonly #open = new Set<Socket>();

  /** For the `stream` of a client's options. */
  readonly make = (): Socket => {
    const socket = new Socket();
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
    return socket;
  };

  /** Waits for an orderly end, but not for long. */
  async end(orderly: Promise<unknown>): Promise<void> {
    const waited = new AbortController();
    const ended = orderly.then(
      () => {},
      () => {},
    );
    await Promise.race([ended, sleep(GOODBYE_MS, undefined, { signal: waited.signal }).catch(() => {})]);
    waited.abort();
    for (const socket of this.#open) socket.destroy();
  }
}
