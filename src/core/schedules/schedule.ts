import type { EnqueueRequest } from '../enqueue.ts';
import { cronTiming, onceTiming, type Timing } from './timing.ts';

/** What becomes of due times that nobody was there for: none runs, the latest, or all of them within a bound. */
export const CATCH_UPS = ['skip', 'one', 'all'] as const;
export type CatchUp = (typeof CATCH_UPS)[number];

/** What happens at a due time while the run before has not ended: nothing, it waits its turn, or it runs beside it. */
export const OVERLAPS = ['skip', 'queue', 'allow'] as const;
export type Overlap = (typeof OVERLAPS)[number];

/** Why a schedule is not enabled, when its owner did not say so. */
export const DISABLED_REASONS = ['finished', 'event_removed', 'target_missing'] as const;
export type DisabledReason = (typeof DISABLED_REASONS)[number];

/** Why nothing ran at a due time. */
export const SKIP_REASONS = ['missed', 'overlap', 'event_disabled', 'isolation_unavailable'] as const;
export type SkipReason = (typeof SKIP_REASONS)[number];

/** What its owner says of a schedule. */
export interface ScheduleSettings {
  /** Unique among the owner's. */
  name: string;
  /** An event of the owner, as callers name it: `hello`, `hello@3`, `hello:live`. */
  target: string;
  /** One of the two is set. */
  cron: string | null;
  at: Date | null;
  /** IANA. */
  timeZone: string;
  payload: unknown;
  enabled: boolean;
  catchUp: CatchUp;
  overlap: Overlap;
  maxRuns: number | null;
  /** Each run begins up to so many ms after its due time, by chance. */
  jitterMs: number;
}

/** What becomes of it. */
export interface ScheduleState {
  enabled: boolean;
  disabledReason: DisabledReason | null;
  /** The due time that comes next; `null` when none does. */
  nextAt: Date | null;
  /** When to look at it: the due time and its jitter. */
  fireAt: Date | null;
  /** A due time waits for the run before to end. */
  held: boolean;
  /** The latest due time that ran: none up to it runs again, whatever the clock says. */
  lastDueAt: Date | null;
  lastRunAt: Date | null;
  lastInvocationId: string | null;
  runs: number;
  skipped: number;
  lastSkippedAt: Date | null;
  lastSkipReason: SkipReason | null;
}

export interface Schedule extends ScheduleSettings, ScheduleState {
  /** UUID version 7. */
  id: string;
  ownerId: string;
  /** The tier of the token that saved it last. */
  tier: string | null;
  /** Another one after each change. */
  revision: number;
  createdAt: Date;
  updatedAt: Date;
}

export interface ScheduleOwner {
  id: string;
  tier: string | null;
}

/** Schedules. Every method may reject when the database is away. */
export interface ScheduleStore {
  /** Rejects with `schedule_exists` when the owner has one of that name, and with `schedule_quota_exceeded`. */
  create(owner: ScheduleOwner, settings: ScheduleSettings, first: ScheduleState): Promise<Schedule>;
  find(ownerId: string, name: string): Promise<Schedule | undefined>;
  /** Sorted by name. */
  list(ownerId: string): Promise<Schedule[]>;
  /** Replaces the settings, and the state by what `stateOf` makes of what it was. `undefined` when there is none. */
  replace(
    owner: ScheduleOwner,
    settings: ScheduleSettings,
    stateOf: (before: Schedule) => ScheduleState,
  ): Promise<Schedule | undefined>;
  remove(ownerId: string, name: string): Promise<boolean>;
  /** Those to look at now, the earliest first; with them those that wait for one of these invocations. */
  due(now: Date, limit: number, ended: readonly string[]): Promise<Schedule[]>;
  /** When there is the next one to look at. */
  nextFireAt(): Promise<Date | undefined>;
  /**
   * Writes the state and puts the runs into the queue, both or none. `false`, and nothing is written, when the schedule is not
   * any more as it was read: somebody else was faster.
   */
  advance(before: Schedule, state: ScheduleState, runs: readonly EnqueueRequest[]): Promise<boolean>;
}

/** @throws TimingError */
export function timingOf({ cron, at, timeZone }: Pick<ScheduleSettings, 'cron' | 'at' | 'timeZone'>): Timing {
  if (cron !== null) return cronTiming(cron, timeZone);
  if (at !== null) return onceTiming(at);
  throw new TypeError('A schedule has neither an expression nor a moment');
}

/** When to look at a due time. @param random in [0, 1) */
export function fireTime(due: Date | null, jitterMs: number, random: number): Date | null {
  return due && new Date(due.getTime() + Math.floor(random * jitterMs));
}
