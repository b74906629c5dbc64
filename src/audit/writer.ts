import type { Chain } from './chain.ts';
import type { AuditRecord, Timed } from './entry.ts';

export interface WriterOptions {
  /** Records that wait at most; beyond it new ones are lost, counted, and their number written down later. */
  capacity?: number;
  /** Records a write. */
  batchSize?: number;
  /** How long a record waits for others to be written with, ms. */
  delayMs?: number;
  /** Longest pause between attempts while the disk does not take any, ms; the first is `delayMs`. */
  maxBackoffMs?: number;
  /** How long what is written may wait for being signed, ms. */
  checkpointMs?: number;
  now?: () => Date;
  /** Told when writing fails, after it had worked, and then every so often. May not throw. */
  onError?: (error: unknown) => void;
  /** Told when writing works again. May not throw. */
  onRecovered?: (lost: number) => void;
}

/** A failure that goes on is told again at every so many attempts. */
const TELL_EVERY = 10;

/** Writes records behind what caused them, in batches. */
export class ChainWriter {
  readonly #chain: Chain;
  readonly #options: Required<WriterOptions>;
  readonly #waiting: (Timed & { settle?: (error?: unknown) => void })[] = [];
  #timer: NodeJS.Timeout | undefined;
  #checkpointTimer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #failures = 0;
  #trouble: unknown;
  #lost = 0;
  #dropped = 0;
  #closed = false;

  constructor(chain: Chain, options: WriterOptions = {}) {
    this.#chain = chain;
    this.#options = {
      capacity: 10_000,
      batchSize: 64,
      delayMs: 20,
      maxBackoffMs: 1_000,
      checkpointMs: 1_000,
      now: () => new Date(),
      onError: () => {},
      onRecovered: () => {},
      ...options,
    };
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Records that were lost, ever. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Why nothing is written now; `undefined` when all is well. */
  get trouble(): unknown {
    return this.#trouble;
  }

  /** Returns at once and never throws. */
  record(record: AuditRecord): void {
    this.#add(record);
    this.#schedule(this.#options.delayMs);
  }

  /** Resolves when it has been handed to the system. Rejects when writing fails; the record then goes on waiting. */
  async written(record: AuditRecord): Promise<void> {
    if (this.#trouble !== undefined) {
      this.record(record);
      throw this.#trouble;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#add(record, (error) => (error === undefined ? resolve() : reject(error)));
    // Others that wait go with it, but it waits for none.
    this.#write().catch(() => {});
    return promise;
  }

  /** Writes what waits, trying until the deadline. Nothing is taken any more. */
  async close(deadlineMs = 5_000): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#checkpointTimer);
    const end = performance.now() + deadlineMs;
    while (this.#waiting.length > 0 || this.#lost > 0) {
      const failed = await this.#write().then(
        () => false,
        () => true,
      );
      if (failed && performance.now() + this.#backoffMs() > end) break;
      if (failed) await new Promise((resolve) => setTimeout(resolve, this.#backoffMs()));
    }
    for (const { settle } of this.#waiting.splice(0)) {
      this.#dropped++;
      settle?.(new Error('the gateway has stopped'));
    }
    await this.#writing?.catch(() => {});
    await this.#chain[Symbol.asyncDispose]().catch(this.#options.onError);
  }

  #add(record: AuditRecord, settle?: (error?: unknown) => void): void {
    if (this.#closed || this.#waiting.length >= this.#options.capacity) {
      this.#lost++;
      this.#dropped++;
      settle?.(new Error('too much waits to be written'));
      return;
    }
    this.#waiting.push({ record, time: this.#options.now(), ...(settle && { settle }) });
  }

  #schedule(delayMs: number): void {
    if (this.#closed || this.#timer !== undefined || this.#writing !== undefined) return;
    if (this.#waiting.length === 0) return;
    this.#timer = setTimeout(() => this.#write().catch(() => {}), delayMs);
    this.#timer.unref();
  }

  #backoffMs(): number {
    return Math.min(this.#options.delayMs * 2 ** this.#failures, this.#options.maxBackoffMs);
  }

  /** One write at a time; who comes while one is under way is served by the next. */
  #write(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing ??= this.#writeBatch().finally(() => {
      this.#writing = undefined;
      const isUrgent = this.#failures === 0 && this.#waiting.some(({ settle }) => settle !== undefined);
      this.#schedule(isUrgent ? 0 : this.#backoffMs());
    });
    return this.#writing;
  }

  async #writeBatch(): Promise<void> {
    const batch = this.#waiting.slice(0, this.#options.batchSize);
    const lost = this.#lost;
    if (lost > 0) batch.push({ record: lossOf(lost), time: this.#options.now() });
    if (batch.length === 0) return;
    try {
      await this.#chain.append(batch);
    } catch (error) {
      this.#failed(error);
      throw error;
    }
    this.#lost -= lost;
    for (const { settle } of this.#waiting.splice(0, batch.length - (lost > 0 ? 1 : 0))) settle?.();
    this.#worked(lost);
    this.#scheduleCheckpoint();
  }

  #failed(error: unknown): void {
    this.#trouble = error;
    if (this.#failures % TELL_EVERY === 0) this.#options.onError(error);
    this.#failures++;
    // Nobody is kept waiting for a disk that may stay full.
    for (const each of this.#waiting) {
      each.settle?.(error);
      delete each.settle;
    }
  }

  #worked(lost: number): void {
    if (this.#failures > 0) this.#options.onRecovered(lost);
    this.#failures = 0;
    this.#trouble = undefined;
  }

  #scheduleCheckpoint(): void {
    if (this.#closed || this.#checkpointTimer !== undefined) return;
    this.#checkpointTimer = setTimeout(() => {
      this.#checkpointTimer = undefined;
      this.#checkpoint();
    }, this.#options.checkpointMs);
    this.#checkpointTimer.unref();
  }

  async #checkpoint(): Promise<void> {
    // Between two writes: a file that is being changed for another one cannot be signed.
    while (this.#writing !== undefined) await this.#writing.catch(() => {});
    if (this.#closed) return;
    this.#writing = this.#signed().finally(() => {
      this.#writing = undefined;
      this.#schedule(0);
    });
  }

  async #signed(): Promise<void> {
    try {
      await this.#chain.checkpoint();
    } catch (error) {
      this.#options.onError(error);
      this.#scheduleCheckpoint();
    }
  }
}

function lossOf(count: number): AuditRecord {
  return { action: 'audit.lost', actor: null, subject: null, outcome: 'failed', detail: { count } };
}
