import type { Alias, AliasStore } from '../core/alias.ts';
import { ReadThrough } from './read-through.ts';

export interface CachedAliases extends AliasStore {
  /** Forgets the aliases of an event that was changed elsewhere; without a name, of all of them. */
  forget(eventName: string | undefined): void;
}

/** A rough guess is enough for a bound. */
const BYTES_EACH = 512;
const MAX_ALIASES = 10_000;

/** Keeps aliases in memory, so that a call of one reads no database. A change through this decorator is seen at once. */
export function cacheAliases(store: AliasStore, { missTtlMs = 1_000 } = {}): CachedAliases {
  const aliases = new ReadThrough<Alias>({
    maxBytes: MAX_ALIASES * BYTES_EACH,
    maxEntries: MAX_ALIASES,
    missTtlMs,
    bytesOf: () => BYTES_EACH,
  });
  const forget = (eventName: string | undefined) =>
    aliases.forgetPrefix(eventName === undefined ? '' : `${eventName}/`);

  /** Invalidates on failure too: whether a write took place is then unknown. */
  const change = async <T>(eventName: string, write: () => Promise<T>): Promise<T> => {
    try {
      return await write();
    } finally {
      forget(eventName);
    }
  };

  return {
    forget,
    // The event's id is in the key: a later event of that name has none of these.
    find: (event, alias) => aliases.get(`${event.name}/${event.id}/${alias}`, () => store.find(event, alias)),
    list: (event) => store.list(event),
    put: (ownerId, eventName, ...what) => change(eventName, () => store.put(ownerId, eventName, ...what)),
    remove: (ownerId, eventName, ...what) =>
      change(eventName, () => store.remove(ownerId, eventName, ...what)),
  };
}
