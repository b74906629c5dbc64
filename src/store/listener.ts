import pg from 'pg';
import { CHANGES_CHANNEL, QUEUE_CHANNEL } from './dialect.ts';
import { connectionOptions } from './postgres.ts';
import { Sockets } from './sockets.ts';
import { unavailable } from './unavailable.ts';

const FIRST_BACKOFF_MS = 50;
const MAX_BACKOFF_MS = 1_000;
/** A connection that died without a word is found out by then, twice this at most. */
const HEARTBEAT_MS = 5_000;
const QUERY_TIMEOUT_MS = 3_000;

export interface ListenerOptions {
  url: string;
  /** An event that was changed; `undefined` when any may have been. */
  onChange: (name: string | undefined) => void;
  /** What was said of the queue; `undefined` when something may have been missed. */
  onQueue: (message: string | undefined) => void;
  /** Told of every connection that was lost or could not be made; may not throw. */
  onError: (error: unknown) => void;
}

/**
 * Hears of changes over a connection of its own, and makes a new one whenever it is lost. What was said in between is
 * not known: after every new connection it reports that anything may have changed.
 */
export class ChangeListener implements AsyncDisposable {
  readonly #options: ListenerOptions;
  readonly #sockets = new Sockets();
  #client: pg.Client | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #closed = false;

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /** Rejects when the first connection cannot be made; later ones are tried for ever. */
  async open(): Promise<void> {
    try {
      await this.#connect();
    } catch (error) {
      throw unavailable(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    const client = this.#client;
    this.#client = undefined;
    await this.#sockets.end(Promise.resolve(client?.end()));
  }

  async #connect(): Promise<void> {
    const { url, onChange, onQueue } = this.#options;
    const client = new pg.Client({
      ...connectionOptions(url, this.#sockets),
      query_timeout: QUERY_TIMEOUT_MS,
    });
    client.on('error', (error) => this.#lost(client, error));
    client.on('end', () => this.#lost(client, new Error('the listening connection was closed')));
    client.on('notification', ({ channel, payload }) =>
      channel === QUEUE_CHANNEL ? onQueue(payload) : onChange(payload),
    );
    try {
      await client.connect();
      await client.query(`listen ${CHANGES_CHANNEL}; listen ${QUEUE_CHANNEL}`);
      if (this.#closed) throw new Error('closed while it connected');
    } catch (error) {
      drop(client);
      throw error;
    }
    this.#client = client;
    this.#failures = 0;
    this.#heartbeat(client);
  }

  #heartbeat(client: pg.Client): void {
    this.#timer = setTimeout(() => {
      client.query('select 1').then(
        () => client === this.#client && this.#heartbeat(client),
        (error: unknown) => this.#lost(client, error),
      );
    }, HEARTBEAT_MS);
    this.#timer.unref();
  }

  /** Heard once a connection: one that was never complete is its maker's. */
  #lost(client: pg.Client, error: unknown): void {
    if (client !== this.#client) return;
    this.#client = undefined;
    drop(client);
    this.#options.onError(error);
    this.#reconnect();
  }

  #reconnect(): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    const pauseMs = Math.min(FIRST_BACKOFF_MS * 2 ** this.#failures++, MAX_BACKOFF_MS);
    // Many gateways lose a server at one moment: they do not come back at one.
    this.#timer = setTimeout(
      () => {
        this.#connect().then(
          () => {
            this.#options.onChange(undefined);
            this.#options.onQueue(undefined);
          },
          (error: unknown) => {
            if (this.#closed) return;
            this.#options.onError(error);
            this.#reconnect();
          },
        );
      },
      pauseMs * (0.5 + Math.random() / 2),
    );
    this.#timer.unref();
  }
}

/** Closes it without waiting: the other side may never answer. */
function drop(client: pg.Client): void {
  client.end().catch(() => {});
}
