import { GatewayError } from '../../errors.ts';
import type { Enqueued, EnqueueRequest, Enqueuer } from '../enqueue.ts';
import type { QueueStore } from './queue.ts';

export interface GroupCommitOptions {
  queue: Pick<QueueStore, 'enqueue'>;
  /** Counts it against what the caller may ask for; rejects when it is too much. */
  admit: (request: EnqueueRequest) => Promise<void>;
  /** Something was put into the queue. */
  onEnqueued: () => void;
  /** Invocations a write. */
  batchSize?: number;
  /** Of their bodies, a write; one that is larger is written alone. */
  batchBytes?: number;
  /** Invocations that may wait to be written. */
  capacity?: number;
}

interface Waiting {
  request: EnqueueRequest;
  resolve: (enqueued: Enqueued) => void;
  reject: (error: unknown) => void;
}

/** What asks at the same time is written and synced together: the disk is waited for once a group and not once an invocation. */
export class GroupCommit implements Enqueuer {
  readonly #options: Required<GroupCommitOptions>;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;

  constructor(options: GroupCommitOptions) {
    this.#options = { batchSize: 256, batchBytes: 8 * 2 ** 20, capacity: 10_000, ...options };
  }

  async enqueue(request: EnqueueRequest): Promise<Enqueued> {
    await this.#options.admit(request);
    if (this.#waiting.length >= this.#options.capacity) {
      const message = 'More invocations wait to be stored than the database takes; try again shortly';
      throw new GatewayError('store_unavailable', message, { retryAfterSeconds: 1 });
    }
    const { promise, resolve, reject } = Promise.withResolvers<Enqueued>();
    this.#waiting.push({ request, resolve, reject });
    this.#writing ??= this.#writeAll();
    return promise;
  }

  /** Resolves when all that was asked for is written or refused. */
  async idle(): Promise<void> {
    await this.#writing;
  }

  async #writeAll(): Promise<void> {
    // What arrives in the same turn of the event loop comes along.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) {
      await this.#write(this.#waiting.splice(0, this.#groupLength()));
    }
    this.#writing = undefined;
  }

  /** How many of those who wait are written together: a large group would stop everybody else while it is. */
  #groupLength(): number {
    const { batchSize, batchBytes } = this.#options;
    let bytes = 0;
    const tooMany = this.#waiting.findIndex(({ request }, index) => {
      bytes += bodyLength(request.payload);
      return index === batchSize || (index > 0 && bytes > batchBytes);
    });
    return tooMany === -1 ? this.#waiting.length : tooMany;
  }

  async #write(group: readonly Waiting[]): Promise<void> {
    try {
      const enqueued = await this.#options.queue.enqueue(group.map(({ request }) => request));
      this.#options.onEnqueued();
      for (const [index, { resolve }] of group.entries()) resolve(enqueued[index]!);
    } catch (error) {
      const isAway = error instanceof GatewayError && error.code === 'store_unavailable';
      if (isAway || group.length === 1) {
        for (const { reject } of group) reject(error);
        return;
      }
      // One that the database refuses for what is in it is not to take the others along.
      for (const one of group) await this.#write([one]);
    }
  }
}

/** What is big in a payload is its body; the rest is bounded by what a request's head may be. */
function bodyLength(payload: unknown): number {
  const body = typeof payload === 'object' && payload !== null && 'body' in payload ? payload.body : payload;
  return typeof body === 'string' ? body.length : 0;
}
