import type { Invocation } from '../core/invocation.ts';
import type { InvocationRecorder, InvocationStore } from '../core/invocation-store.ts';
import { isUnavailable } from './unavailable.ts';

export interface RecorderOptions {
  /** Records that wait at most; beyond it the oldest are dropped and counted. */
  capacity?: number;
  /** Records a write. */
  batchSize?: number;
  /** How long a record waits for others to be written with, ms. */
  delayMs?: number;
  /** Longest pause between attempts while the database is away, ms; the first is `delayMs`. */
  maxBackoffMs?: number;
  /** Told of every write that failed because the database is away; it is tried again. May not throw. */
  onError?: (error: unknown) => void;
  /** Told of every record that the database refuses for what is in it; it is given up. May not throw. */
  onRefused?: (error: unknown, id: string) => void;
}

/** Logs in one write, characters: a write blocks the event loop, so a batch of big logs is cut short. */
const BATCH_LOG_CHARS = 2 ** 20;

/** Writes invocations behind the responses. What waits to be written is already found by id. */
export class WriteBehindRecorder implements InvocationRecorder {
  readonly #store: InvocationStore;
  readonly #options: Required<RecorderOptions>;
  /** By id, oldest first. */
  readonly #pending = new Map<string, Invocation>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #failures = 0;
  #dropped = 0;
  #closed = false;

  constructor(store: InvocationStore, options: RecorderOptions = {}) {
    this.#store = store;
    this.#options = {
      capacity: 10_000,
      batchSize: 64,
      delayMs: 20,
      maxBackoffMs: 5_000,
      onError: () => {},
      onRefused: () => {},
      ...options,
    };
  }

  /** Records given up, because the database was away for too long or refused them. */
  get dropped(): number {
    return this.#dropped;
  }

  get waiting(): number {
    return this.#pending.size;
  }

  record(invocation: Invocation): void {
    if (this.#closed) {
      this.#dropped++;
      return;
    }
    this.#pending.delete(invocation.id);
    this.#pending.set(invocation.id, invocation);
    if (this.#pending.size > this.#options.capacity) this.#dropOldest();
    this.#schedule();
  }

  async find(id: string): Promise<Invocation | undefined> {
    return this.#pending.get(id) ?? this.#store.find(id);
  }

  async listByEvent(ownerId: string, eventName: string, page: { limit: number; cursor?: string }) {
    await this.flush();
    return this.#store.listByEvent(ownerId, eventName, page);
  }

  async listByStatus(...query: Parameters<InvocationStore['listByStatus']>) {
    await this.flush();
    return this.#store.listByStatus(...query);
  }

  /** Writes what waited when it was called. Rejects when the database does not take it; the records then go on waiting. */
  async flush(): Promise<void> {
    const last = [...this.#pending.values()].at(-1);
    while (last !== undefined && this.#pending.get(last.id) === last) await this.#write();
  }

  /** Writes what waits, trying until the deadline, and takes no more. Resolves to how many records were given up. */
  async close(deadlineMs = 5_000): Promise<number> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const end = performance.now() + deadlineMs;
    while (this.#pending.size > 0 && performance.now() < end) {
      const waited = pause(end - performance.now());
      await Promise.race([this.#write().catch(() => {}), waited.promise]);
      waited.cancel();
      if (this.#failures > 0) await pause(Math.min(this.#backoffMs(), end - performance.now())).promise;
    }
    this.#dropped += this.#pending.size;
    this.#pending.clear();
    return this.#dropped;
  }

  #dropOldest(): void {
    const oldest = this.#pending.keys().next();
    if (oldest.done) return;
    this.#pending.delete(oldest.value);
    this.#dropped++;
  }

  #schedule(): void {
    if (this.#closed || this.#timer !== undefined || this.#writing !== undefined) return;
    if (this.#pending.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#write().catch(() => {});
    }, this.#backoffMs());
    this.#timer.unref();
  }

  #backoffMs(): number {
    return Math.min(this.#options.delayMs * 2 ** this.#failures, this.#options.maxBackoffMs);
  }

  /** One write at a time; a second caller shares the one under way. */
  #write(): Promise<void> {
    this.#writing ??= this.#writeBatch().finally(() => {
      this.#writing = undefined;
      this.#schedule();
    });
    return this.#writing;
  }

  async #writeBatch(): Promise<void> {
    const batch = this.#batch();
    try {
      await this.#save(batch);
      this.#failures = 0;
    } catch (error) {
      this.#failures++;
      this.#options.onError(error);
      throw error;
    }
  }

  /** Rejects only when the database is away. One record that it refuses is not to hold up the others. */
  async #save(batch: readonly Invocation[]): Promise<void> {
    try {
      await this.#store.save(batch);
      for (const invocation of batch) this.#settle(invocation);
    } catch (error) {
      if (isUnavailable(error)) throw error;
      if (batch.length > 1) {
        for (const invocation of batch) await this.#save([invocation]);
        return;
      }
      for (const invocation of batch) {
        this.#options.onRefused(error, invocation.id);
        if (this.#settle(invocation)) this.#dropped++;
      }
    }
  }

  /** `false` when there is a newer record of the same invocation, which is still to be written. */
  #settle(invocation: Invocation): boolean {
    return this.#pending.get(invocation.id) === invocation && this.#pending.delete(invocation.id);
  }

  #batch(): Invocation[] {
    const batch: Invocation[] = [];
    let chars = 0;
    for (const invocation of this.#pending.values()) {
      chars += invocation.logs.length;
      if (batch.length > 0 && chars > BATCH_LOG_CHARS) break;
      batch.push(invocation);
      if (batch.length === this.#options.batchSize) break;
    }
    return batch;
  }
}

function pause(ms: number): { promise: Promise<void>; cancel: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, Math.max(0, ms));
  return { promise, cancel: () => clearTimeout(timer) };
}
