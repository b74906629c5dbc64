import type { Event, EventDraft } from './event.ts';
import type { Exit } from './sandbox.ts';

/** Where an invocation stands. The last five are final. */
export const INVOCATION_STATUSES = [
  'queued',
  'running',
  'succeeded',
  'failed',
  'timed_out',
  'cancelled',
  'dead',
] as const;
export type InvocationStatus = (typeof INVOCATION_STATUSES)[number];

export type StartKind = 'warm' | 'cold';

/** Where the time of an invocation went, in ms. A phase that was not reached is absent. */
export interface Phases {
  admit?: number;
  acquire?: number;
  inject?: number;
  exec?: number;
  destroy?: number;
}

/** What is kept of one invocation. */
export interface Invocation {
  /** UUID version 7: ids sort by time. */
  id: string;
  eventId: string;
  eventName: string;
  eventVersion: number;
  ownerId: string;
  /** The `sub` of the caller's token; `null` for an anonymous call of a public event. */
  callerId: string | null;
  status: InvocationStatus;
  start: StartKind | null;
  isolation: string | null;
  phases: Phases;
  /** The HTTP status the caller got. */
  statusCode: number | null;
  exit: Exit | null;
  error: { code: string; message: string; trace?: string } | null;
  logs: string;
  logsTruncated: boolean;
  createdAt: Date;
  endedAt: Date | null;
}

export interface Page<T> {
  items: T[];
  nextCursor: string | null;
}

/** Deployed events. Every method may reject when the database is away. */
export interface EventStore {
  /** Rejects with `event_exists` when the name is taken, by whomever. */
  create(ownerId: string, draft: EventDraft): Promise<Event>;
  /** `undefined` when there is none. Not limited to an owner: the function URL asks for any. */
  find(name: string): Promise<Event | undefined>;
  /** Sorted by name. */
  list(ownerId: string): Promise<Event[]>;
  /**
   * Replaces what the draft says. A change of code, runtime, limits, environment or secrets makes a new version; an equal
   * draft makes none. `undefined` when the owner has no such event.
   */
  replace(ownerId: string, name: string, draft: EventDraft): Promise<Event | undefined>;
  /** `false` when the owner has no such event. Its invocations stay. */
  remove(ownerId: string, name: string): Promise<boolean>;
}

/** What happened, kept for those who ask later. */
export interface InvocationStore {
  /** Inserts or, by id, replaces; all of them or none. */
  save(invocations: readonly Invocation[]): Promise<void>;
  find(id: string): Promise<Invocation | undefined>;
  /** Newest first. `cursor` is a `nextCursor` of an earlier page. */
  listByEvent(
    ownerId: string,
    eventName: string,
    page: { limit: number; cursor?: string },
  ): Promise<Page<Invocation>>;
}

/** What those who only ask need. */
export type InvocationReader = Pick<InvocationStore, 'find' | 'listByEvent'>;

/** Takes invocations off the hot path: `record` returns at once and never throws; the newest record of an id counts. */
export interface InvocationRecorder extends InvocationReader {
  record(invocation: Invocation): void;
}

export interface Store extends AsyncDisposable {
  readonly events: EventStore;
  readonly invocations: InvocationStore;
  /** Rejects when the database does not answer. */
  ping(): Promise<void>;
}
