import type { CatchUp } from './schedule.ts';
import type { Timing } from './timing.ts';

/** A due time that is later than this was missed; until then it is only late, ms. */
const GRACE_MS = 10_000;
/** Due times that run at once, and skipped ones that are counted. */
export const MAX_AT_ONCE = 100;

export interface Plan {
  /** Due times that run now, the earliest first. */
  runs: Date[];
  /** Due times that were missed and do not run; at most `MAX_AT_ONCE` are counted. */
  skipped: number;
  /** The due time after all these; `null` when there is none. */
  next: Date | null;
}

/** What a schedule whose next due time has come does about it, and about those after it that have come too. */
export function planRuns(
  timing: Timing,
  nextAt: Date,
  now: Date,
  { catchUp, jitterMs }: { catchUp: CatchUp; jitterMs: number },
): Plan {
  const missedBefore = new Date(now.getTime() - GRACE_MS - jitterMs);
  const first = firstToRun(timing, nextAt, { missedBefore, now, catchUp });
  const runs: Date[] = [];
  let due = first;
  // The one that was waited for runs now; for those behind it their own jitter must be over.
  for (let by = now; due !== null && due <= by && runs.length < MAX_AT_ONCE; due = timing.next(due)) {
    runs.push(due);
    by = new Date(now.getTime() - jitterMs);
  }
  return { runs, skipped: skippedBetween(timing, nextAt, first), next: due };
}

function firstToRun(
  timing: Timing,
  nextAt: Date,
  { missedBefore, now, catchUp }: { missedBefore: Date; now: Date; catchUp: CatchUp },
): Date | null {
  if (nextAt >= missedBefore) return nextAt;
  if (catchUp === 'skip') return timing.next(new Date(missedBefore.getTime() - 1));
  const until = new Date(now.getTime() + 1);
  const oldest = timing.before(until, catchUp === 'one' ? 1 : MAX_AT_ONCE).at(-1);
  return oldest !== undefined && oldest > nextAt ? oldest : nextAt;
}

function skippedBetween(timing: Timing, from: Date, to: Date | null): number {
  let skipped = 0;
  for (let due: Date | null = from; due !== null && skipped < MAX_AT_ONCE; due = timing.next(due)) {
    if (to !== null && due >= to) break;
    skipped += 1;
  }
  return skipped;
}
