import { LRUCache } from 'lru-cache';
import type { Event } from '../core/event.ts';
import type { EventStore } from '../core/store.ts';

export interface EventCacheOptions {
  /** Cached events together, bytes. */
  maxBytes?: number;
  maxEvents?: number;
  /** How long a name that does not exist is believed not to, ms. */
  missTtlMs?: number;
}

/** What an event takes besides its texts, bytes; a rough guess is enough for a bound. */
const OVERHEAD_BYTES = 2_048;

/**
 * Keeps events in memory, so that a call of one that is deployed reads no database. A deploy through this decorator
 * invalidates; concurrent misses of a name share one read.
 */
export function cacheEvents(store: EventStore, options: EventCacheOptions = {}): EventStore {
  const { maxBytes = 64 * 2 ** 20, maxEvents = 10_000, missTtlMs = 1_000 } = options;
  const hits = new LRUCache<string, Event>({
    max: maxEvents,
    maxSize: maxBytes,
    sizeCalculation: bytesOf,
  });
  const misses = new LRUCache<string, true>({ max: maxEvents, ttl: missTtlMs });
  const reads = new Map<string, Promise<Event | undefined>>();

  const invalidate = (name: string) => {
    hits.delete(name);
    misses.delete(name);
    // A read that began before the change may return what was before it: nobody may join it or keep its answer.
    reads.delete(name);
  };

  const read = (name: string): Promise<Event | undefined> => {
    const promise = store.find(name).then(
      (event) => {
        if (reads.get(name) !== promise) return event;
        reads.delete(name);
        if (event === undefined) misses.set(name, true);
        else hits.set(name, event);
        return event;
      },
      (error: unknown) => {
        if (reads.get(name) === promise) reads.delete(name);
        throw error;
      },
    );
    reads.set(name, promise);
    return promise;
  };

  /** Invalidates on failure too: whether a write took place is then unknown. */
  const change = async <T>(name: string, write: () => Promise<T>): Promise<T> => {
    try {
      return await write();
    } finally {
      invalidate(name);
    }
  };

  return {
    async find(name) {
      const event = hits.get(name);
      if (event !== undefined) return event;
      if (misses.has(name)) return undefined;
      return reads.get(name) ?? read(name);
    },
    list: (ownerId) => store.list(ownerId),
    create: (ownerId, draft) => change(draft.name, () => store.create(ownerId, draft)),
    replace: (ownerId, name, draft) => change(name, () => store.replace(ownerId, name, draft)),
    remove: (ownerId, name) => change(name, () => store.remove(ownerId, name)),
  };
}

function bytesOf({ current, description }: Event): number {
  let chars = current.code.length + description.length;
  for (const variables of [current.env, current.secrets]) {
    for (const [name, value] of Object.entries(variables)) chars += name.length + value.length;
  }
  return 2 * chars + OVERHEAD_BYTES;
}
