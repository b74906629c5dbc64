import type { Event, EventDraft, EventVersion, EventVersionSummary } from './event.ts';
import type { Page } from './page.ts';

/** Looks at an event that is about to change, in the same transaction; what it throws undoes the change. */
export type EventCheck = (before: Event) => void;

/** Deployed events. Every method may reject when the database is away. */
export interface EventStore {
  /** Rejects with `event_exists` when the name is taken, by whomever. */
  create(ownerId: string, draft: EventDraft): Promise<Event>;
  /** `undefined` when there is none. Not limited to an owner: the function URL asks for any. */
  find(name: string): Promise<Event | undefined>;
  /** A version of an event, current or not; `undefined` when there is none. Not limited to an owner. */
  findVersion(event: Pick<Event, 'id' | 'name'>, version: number): Promise<EventVersion | undefined>;
  /** Sorted by name. */
  list(ownerId: string): Promise<Event[]>;
  /**
   * Versions of one event, newest first; `undefined` when the owner has no such event. `cursor` is a `nextCursor` of an
   * earlier page.
   */
  listVersions(
    ownerId: string,
    name: string,
    page: { limit: number; cursor?: string },
  ): Promise<Page<EventVersionSummary> | undefined>;
  /**
   * Replaces what the draft says. A change of code, runtime, limits, environment or secrets makes a new version, numbered
   * after the newest there is; an equal draft makes none. A draft that depends on what there is now is given as a function:
   * nobody else changes the event between what it reads and what is written, and what it throws undoes everything.
   * `undefined` when the owner has no such event.
   */
  replace(
    ownerId: string,
    name: string,
    draft: EventDraft | ((before: Event) => EventDraft),
  ): Promise<Event | undefined>;
  /**
   * Makes a version that there is the current one again; no version is made or lost. Rejects with `not_found` when there is no
   * such version. `undefined` when the owner has no such event.
   */
  rollback(ownerId: string, name: string, version: number, check?: EventCheck): Promise<Event | undefined>;
  /** With all its versions. `false` when the owner has no such event. Its invocations stay. */
  remove(ownerId: string, name: string, check?: EventCheck): Promise<boolean>;
}
