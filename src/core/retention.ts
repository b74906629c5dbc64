/** What is pruned, each by an age of its own. */
export const PRUNED = ['records', 'bodies', 'logs'] as const;
export type Pruned = (typeof PRUNED)[number];

/** Rows of one transaction. Small: nobody waits long behind it. */
export interface PruneBatch {
  /** Only invocations after this id; '' for all. Ids of version 7 are in the order of time. */
  after: string;
  /** And none after this one, when given. */
  upTo?: string | undefined;
  /** Only what ended before. */
  endedBefore: Date;
  limit: number;
}

export interface PruneResult {
  pruned: number;
  /** Where to go on; `undefined` when there is no more. */
  next: string | undefined;
  /** The first that is too young or not at its end, and is to be looked at again. */
  firstKept: string | undefined;
}

export interface BodySize {
  id: string;
  bytes: number;
}

/** The database's part of retention. Every method may reject with `store_unavailable`. */
export interface RetentionStore {
  /** `undefined` when another gateway prunes this database at the moment. */
  prune(what: Pruned, batch: PruneBatch): Promise<PruneResult | undefined>;
  /** Keys of deduplication whose time is over. Resolves to how many went; `undefined` as above. */
  pruneExpired(limit: number): Promise<number | undefined>;
  /** The sizes of a page of payloads and results together, from the newest to the oldest. */
  bodySizes(page: { before: string | undefined; limit: number }): Promise<readonly BodySize[]>;
}

export interface RetentionOptions {
  /** How long each is kept, days; 0 for ever. */
  days: Readonly<Record<Pruned, number>>;
  /** Payloads and results together; 0 for no limit. */
  maxBodyBytes: number;
  /** Between two sweeps, ms. */
  everyMs: number;
  /** Between two batches, ms: calls come first. */
  pauseMs: number;
  batchRows: number;
  /** Remove so many keys at most whose time is over, and resolve to how many went. */
  expired: readonly ((limit: number) => Promise<number | undefined>)[];
  now: () => Date;
  onPruned: (what: Pruned | 'keys', rows: number) => void;
  onError: (error: unknown) => void;
}

const DAY_MS = 86_400_000;

/** Prunes what has been kept for long enough, in small batches with pauses, for as long as it is open. */
export class Retention {
  readonly #store: RetentionStore;
  readonly #options: RetentionOptions;
  /** Where the next sweep begins: what is before has been dealt with. */
  readonly #from: Record<Pruned, string> = { records: '', bodies: '', logs: '' };
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> | undefined;

  constructor(store: RetentionStore, options: RetentionOptions) {
    this.#store = store;
    this.#options = options;
  }

  start(): void {
    this.#timer = setTimeout(() => {
      this.sweep()
        .catch((error) => this.#options.onError(error))
        .finally(() => {
          if (!this.#stop.signal.aborted) this.start();
        });
    }, this.#options.everyMs);
    this.#timer.unref();
  }

  /** One pass over all that may be old enough. Those who ask while one is under way share it. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#sweepAll().finally(() => {
      this.#sweeping = undefined;
    });
    return this.#sweeping;
  }

  /** Begins no other batch, and resolves when the one under way is done. */
  async close(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#sweeping?.catch(() => {});
  }

  async #sweepAll(): Promise<void> {
    const { days, now } = this.#options;
    for (const what of PRUNED) {
      if (days[what] === 0) continue;
      const endedBefore = new Date(now().getTime() - days[what] * DAY_MS);
      this.#from[what] = await this.#walk(what, this.#from[what], endedBefore);
    }
    await this.#pruneKeys();
    if (this.#options.maxBodyBytes > 0) await this.#pruneLargest();
  }

  /** @returns where the next sweep begins */
  async #walk(what: Pruned, from: string, endedBefore: Date, upTo?: string): Promise<string> {
    const { batchRows: limit, onPruned } = this.#options;
    let firstKept: string | undefined;
    for (let after: string | undefined = from; after !== undefined; ) {
      const result: PruneResult | undefined = await this.#store.prune(what, {
        after,
        upTo,
        endedBefore,
        limit,
      });
      // Another gateway is at it. This one looks again at the next sweep.
      if (result === undefined) return from;
      if (result.pruned > 0) onPruned(what, result.pruned);
      firstKept ??= result.firstKept;
      if (firstKept === undefined && result.next !== undefined) from = result.next;
      if (!(await this.#paused())) break;
      after = result.next;
    }
    return from;
  }

  async #pruneKeys(): Promise<void> {
    const { batchRows, expired, onPruned } = this.#options;
    for (const prune of expired) {
      for (let more = true; more && (await this.#paused()); ) {
        const pruned = await prune(batchRows);
        if (pruned !== undefined && pruned > 0) onPruned('keys', pruned);
        more = pruned === batchRows;
      }
    }
  }

  /** Adds up bodies from the newest on; those that are past the limit go, if their invocation has ended. */
  async #pruneLargest(): Promise<void> {
    const { maxBodyBytes, batchRows, now } = this.#options;
    let bytes = 0;
    for (let before: string | undefined; await this.#paused(); ) {
      const sizes = await this.#store.bodySizes({ before, limit: batchRows });
      for (const { id, bytes: more } of sizes) {
        bytes += more;
        if (bytes > maxBodyBytes) {
          await this.#walk('bodies', '', now(), id);
          return;
        }
      }
      before = sizes.at(-1)?.id;
      if (before === undefined) return;
    }
  }

  /** `false` when it is to stop. */
  async #paused(): Promise<boolean> {
    const { signal } = this.#stop;
    if (signal.aborted) return false;
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, this.#options.pauseMs);
      signal.addEventListener('abort', done);
    });
    return !signal.aborted;
  }
}
