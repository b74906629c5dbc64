import { LRUCache } from 'lru-cache';

export interface ReadThroughOptions<T> {
  maxBytes: number;
  maxEntries: number;
  /** How long what does not exist is believed not to, ms. */
  missTtlMs: number;
  bytesOf: (value: T) => number;
}

/** Keeps what was read, by key. Readers of a key at once share one read. */
export class ReadThrough<T extends object> {
  readonly #hits: LRUCache<string, T>;
  readonly #misses: LRUCache<string, true>;
  readonly #reads = new Map<string, Promise<T | undefined>>();

  constructor({ maxBytes, maxEntries, missTtlMs, bytesOf }: ReadThroughOptions<T>) {
    this.#hits = new LRUCache({ max: maxEntries, maxSize: maxBytes, sizeCalculation: bytesOf });
    this.#misses = new LRUCache({ max: maxEntries, ttl: missTtlMs });
  }

  /** A failed read is not remembered. */
  async get(key: string, read: () => Promise<T | undefined>): Promise<T | undefined> {
    const hit = this.#hits.get(key);
    if (hit !== undefined) return hit;
    if (this.#misses.has(key)) return undefined;
    return this.#reads.get(key) ?? this.#read(key, read);
  }

  forget(key: string): void {
    this.#hits.delete(key);
    this.#misses.delete(key);
    // A read that began before the change may return what was before it: nobody may join it or keep its answer.
    this.#reads.delete(key);
  }

  forgetPrefix(prefix: string): void {
    for (const keys of [this.#hits.keys(), this.#misses.keys(), this.#reads.keys()]) {
      for (const key of [...keys]) if (key.startsWith(prefix)) this.forget(key);
    }
  }

  /** What exists never changes, but what did not may do so now. */
  forgetMissing(prefix: string): void {
    for (const keys of [this.#misses.keys(), this.#reads.keys()]) {
      for (const key of [...keys]) {
        if (!key.startsWith(prefix)) continue;
        this.#misses.delete(key);
        this.#reads.delete(key);
      }
    }
  }

  #read(key: string, read: () => Promise<T | undefined>): Promise<T | undefined> {
    const promise = read().then(
      (value) => {
        if (this.#reads.get(key) !== promise) return value;
        this.#reads.delete(key);
        if (value === undefined) this.#misses.set(key, true);
        else this.#hits.set(key, value);
        return value;
      },
      (error: unknown) => {
        if (this.#reads.get(key) === promise) this.#reads.delete(key);
        throw error;
      },
    );
    this.#reads.set(key, promise);
    return promise;
  }
}
