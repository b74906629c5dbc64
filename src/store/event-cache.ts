import type { Event, EventVersion } from '../core/event.ts';
import type { EventStore } from '../core/event-store.ts';
import { ReadThrough } from './read-through.ts';

export interface EventCacheOptions {
  /** Cached events together, bytes; versions that are not current may take a quarter as much on top. */
  maxBytes?: number;
  maxEvents?: number;
  /** How long a name or version that does not exist is believed not to, ms. */
  missTtlMs?: number;
  /** Told of every lookup of an event: whether it needed the database. */
  onLookup?: (result: 'hit' | 'miss') => void;
}

export interface CachedEvents extends EventStore {
  /** Forgets an event that was changed elsewhere; without a name, all of them. */
  forget(name: string | undefined): void;
}

/** What an event takes besides its texts, bytes; a rough guess is enough for a bound. */
const OVERHEAD_BYTES = 2_048;
const SHARE_OF_VERSIONS = 0.25;

/**
 * Keeps events in memory, so that a call of one that is deployed reads no database. A deploy through this decorator
 * invalidates; concurrent misses of a name share one read. A version never changes: it is kept until its event is removed.
 */
export function cacheEvents(store: EventStore, options: EventCacheOptions = {}): CachedEvents {
  const { maxBytes = 64 * 2 ** 20, maxEvents = 10_000, missTtlMs = 1_000 } = options;
  const limits = { maxEntries: maxEvents, missTtlMs };
  const events = new ReadThrough<Event>({ ...limits, maxBytes, bytesOf: bytesOfEvent });
  const versions = new ReadThrough<EventVersion>({
    ...limits,
    maxBytes: Math.ceil(maxBytes * SHARE_OF_VERSIONS),
    bytesOf: bytesOfVersion,
  });

  /** Invalidates on failure too: whether a write took place is then unknown. */
  const change = async <T>(name: string, write: () => Promise<T>): Promise<T> => {
    try {
      return await write();
    } finally {
      events.forget(name);
      versions.forgetMissing(`${name}/`);
    }
  };

  return {
    forget(name) {
      if (name === undefined) events.forgetPrefix('');
      else events.forget(name);
      versions.forgetPrefix(name === undefined ? '' : `${name}/`);
    },
    find(name) {
      let result: 'hit' | 'miss' = 'hit';
      const found = events.get(name, () => {
        result = 'miss';
        return store.find(name);
      });
      options.onLookup?.(result);
      return found;
    },
    findVersion: (event, version) =>
      versions.get(`${event.name}/${event.id}/${version}`, () => store.findVersion(event, version)),
    list: (ownerId) => store.list(ownerId),
    listVersions: (ownerId, name, page) => store.listVersions(ownerId, name, page),
    create: (ownerId, draft) => change(draft.name, () => store.create(ownerId, draft)),
    replace: (ownerId, name, draft) => change(name, () => store.replace(ownerId, name, draft)),
    rollback: (ownerId, name, ...how) => change(name, () => store.rollback(ownerId, name, ...how)),
    async remove(ownerId, name, check) {
      const removed = await change(name, () => store.remove(ownerId, name, check));
      if (removed) versions.forgetPrefix(`${name}/`);
      return removed;
    },
  };
}

function bytesOfEvent({ current, description }: Event): number {
  return 2 * description.length + bytesOfVersion(current);
}

function bytesOfVersion({ code, env, secrets }: EventVersion): number {
  let chars = code.length;
  for (const variables of [env, secrets]) {
    for (const [name, value] of Object.entries(variables)) chars += name.length + value.length;
  }
  return 2 * chars + OVERHEAD_BYTES;
}
