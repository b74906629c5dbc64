import type { AliasStore } from './alias.ts';
import type { Trigger } from './enqueue.ts';
import type { Event, EventDraft, EventVersion, EventVersionSummary } from './event.ts';
import type { IdempotencyStore } from './idempotency.ts';
import type { SecurityLevel } from './isolation.ts';
import type { DeliveryStore } from './queue/deliveries.ts';
import type { QueueChange, QueueStore } from './queue/queue.ts';
import type { ReplayStore } from './replays/replay.ts';
import type { RetentionStore } from './retention.ts';
import type { Exit } from './sandbox.ts';
import type { ScheduleStore } from './schedules/schedule.ts';
import type { VariableStore } from './variables.ts';

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

export const isFinal = (status: InvocationStatus) => status !== 'queued' && status !== 'running';

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
  /** The level of the sandbox that it ran in; absent while it has none. */
  securityLevel?: SecurityLevel;
  phases: Phases;
  /** The HTTP status the caller got. */
  statusCode: number | null;
  exit: Exit | null;
  error: { code: string; message: string; trace?: string } | null;
  logs: string;
  logsTruncated: boolean;
  createdAt: Date;
  endedAt: Date | null;
  /** A compact JWS that vouches for it, where one was asked for and it has ended. */
  receipt?: string;
  trigger: Trigger;
  /** How often it was begun; 0 while a durable one waits for the first time. */
  attempt: number;
  /** Attempts since it was accepted or redriven that the function itself failed. */
  failures: number;
  /** The invocation that this one runs again. */
  replayOf: string | null;
}

export interface Page<T> {
  items: T[];
  nextCursor: string | null;
}

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
  /** The same of those that stand so, of one event or of all. */
  listByStatus(
    ownerId: string,
    filter: { status: InvocationStatus; eventName?: string },
    page: { limit: number; cursor?: string },
  ): Promise<Page<Invocation>>;
}

/** What those who only ask need. */
export type InvocationReader = Pick<InvocationStore, 'find' | 'listByEvent' | 'listByStatus'>;

/** Takes invocations off the hot path: `record` returns at once and never throws; the newest record of an id counts. */
export interface InvocationRecorder extends InvocationReader {
  record(invocation: Invocation): void;
}

export interface Store extends AsyncDisposable {
  readonly events: EventStore;
  readonly aliases: AliasStore;
  readonly invocations: InvocationStore;
  readonly queue: QueueStore;
  readonly deliveries: DeliveryStore;
  readonly idempotency: IdempotencyStore;
  readonly variables: VariableStore;
  readonly retention: RetentionStore;
  readonly schedules: ScheduleStore;
  readonly replays: ReplayStore;
  /**
   * Calls back, for as long as the store is open, whenever an event or its aliases may have been changed through another gateway: with its
   * name, or with `undefined` when any may have been. The own changes may be told too.
   */
  onEventChanged(listener: (name: string | undefined) => void): void;
  /** Calls back, for as long as the store is open, whenever the queue was changed through another gateway, or this one. */
  onQueueChanged(listener: (change: QueueChange) => void): void;
  /** Calls back, for as long as the store is open, whenever schedules may have been changed, here or through another gateway. */
  onSchedulesChanged(listener: () => void): void;
  /** Rejects when the database does not answer. */
  ping(): Promise<void>;
}
