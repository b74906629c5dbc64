import { GatewayError } from '../../errors.ts';
import type { EnqueueRequest } from '../enqueue.ts';
import type { Event } from '../event.ts';
import type { InvocationReader } from '../invocation-store.ts';
import { type IsolationGrade, meets } from '../isolation.ts';
import { parseTarget, type TargetDeps, withQualifier } from '../target.ts';
import { scheduledEvent } from './payload.ts';
import { planRuns } from './plan.ts';
import { type DisabledReason, fireTime, type Schedule, type ScheduleState, timingOf } from './schedule.ts';

export interface TickDeps extends TargetDeps {
  invocations: Pick<InvocationReader, 'find'>;
  /** What this gateway gives to every function. */
  grade: IsolationGrade;
  /** A UUID of version 7. */
  newId: () => string;
}

/** What comes of a schedule that is due: its state afterwards and what is to run. */
export interface Tick {
  state: ScheduleState;
  runs: EnqueueRequest[];
}

/** A due time whose predecessor still runs is looked at again at its end, or after this if nobody hears of that, ms. */
const HELD_MS = 5_000;
/** A due time is remembered for so long beyond its row, ms: the second guard against a second run. */
const DEDUP_TTL_MS = 7 * 86_400_000;

/** Decides and writes nothing. Rejects when the database is away. */
export async function tickOf(schedule: Schedule, now: Date, deps: TickDeps): Promise<Tick> {
  const { overlap, nextAt, maxRuns } = schedule;
  if (nextAt === null) return { state: { ...stateOf(schedule), fireAt: null }, runs: [] };
  const target = await targetOf(schedule, deps);
  if (typeof target === 'string') return { state: disabled(schedule, target), runs: [] };

  // What waited for its turn was not missed.
  const catchUp = schedule.held ? 'all' : schedule.catchUp;
  const plan = planRuns(timingOf(schedule), nextAt, now, { catchUp, jitterMs: schedule.jitterMs });
  const state = { ...stateOf(schedule), held: false };
  if (plan.skipped > 0) skip(state, plan.skipped, 'missed', now);

  let { runs, next } = plan;
  const isBusy = runs.length > 0 && overlap !== 'allow' && (await isUnderWay(schedule, deps));
  if (isBusy && overlap === 'queue') {
    const fireAt = new Date(now.getTime() + HELD_MS);
    return { state: { ...state, nextAt: runs[0]!, fireAt, held: true }, runs: [] };
  }
  if (runs.length > 0 && !target.enabled) {
    skip(state, runs.length, 'event_disabled', now);
    runs = [];
  }
  if (runs.length > 0 && !meets(deps.grade, target.current.minIsolation)) {
    skip(state, runs.length, 'isolation_unavailable', now);
    runs = [];
  }
  const atOnce = overlap === 'allow' ? runs.length : isBusy ? 0 : 1;
  if (overlap === 'queue' && runs.length > 1) next = runs[1]!;
  else if (runs.length > atOnce) skip(state, runs.length - atOnce, 'overlap', now);
  const left = maxRuns === null ? atOnce : Math.max(0, maxRuns - schedule.runs);
  runs = runs.slice(0, Math.min(atOnce, left));

  const requests = runs.map((due) => requestOf(schedule, target, due, deps.newId()));
  state.runs += runs.length;
  state.nextAt = next;
  state.fireAt = fireTime(next, schedule.jitterMs, deps.random());
  state.held = overlap === 'queue' && plan.runs.length > 1 && runs.length === 1;
  if (runs.length > 0) {
    state.lastDueAt = runs.at(-1)!;
    state.lastRunAt = now;
    state.lastInvocationId = requests.at(-1)!.id;
  }
  const isFinished = next === null || (maxRuns !== null && state.runs >= maxRuns);
  return { state: isFinished ? { ...state, ...over('finished') } : state, runs: requests };
}

/** The event with the version to run, or why there is none any more. */
async function targetOf(schedule: Schedule, deps: TickDeps): Promise<Event | DisabledReason> {
  const target = parseTarget(schedule.target);
  const event = target && (await deps.events.find(target.name));
  if (event?.ownerId !== schedule.ownerId) return 'event_removed';
  try {
    return await withQualifier(event, target?.qualifier, deps);
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'not_found') return 'target_missing';
    throw error;
  }
}

async function isUnderWay({ lastInvocationId }: Schedule, { invocations }: TickDeps): Promise<boolean> {
  const last = lastInvocationId === null ? undefined : await invocations.find(lastInvocationId);
  return last?.status === 'queued' || last?.status === 'running';
}

function requestOf(schedule: Schedule, event: Event, due: Date, id: string): EnqueueRequest {
  return {
    id,
    event,
    caller: { userId: schedule.ownerId, tier: schedule.tier },
    trigger: 'schedule',
    payload: scheduledEvent(schedule, id, due),
    dedup: { scope: `schedule:${schedule.id}`, key: due.toISOString(), ttlMs: DEDUP_TTL_MS },
  };
}

function skip(state: ScheduleState, count: number, reason: ScheduleState['lastSkipReason'], now: Date): void {
  state.skipped += count;
  state.lastSkippedAt = now;
  state.lastSkipReason = reason;
}

const over = (disabledReason: DisabledReason) => ({
  enabled: false,
  disabledReason,
  nextAt: null,
  fireAt: null,
  held: false,
});

const disabled = (schedule: Schedule, reason: DisabledReason) => ({ ...stateOf(schedule), ...over(reason) });

/** What a schedule is, without what its owner said of it. */
export function stateOf(schedule: Schedule): ScheduleState {
  const { enabled, disabledReason, nextAt, fireAt, held, lastDueAt, lastRunAt, lastInvocationId } = schedule;
  const { runs, skipped, lastSkippedAt, lastSkipReason } = schedule;
  return {
    enabled,
    disabledReason,
    nextAt,
    fireAt,
    held,
    lastDueAt,
    lastRunAt,
    lastInvocationId,
    runs,
    skipped,
    lastSkippedAt,
    lastSkipReason,
  };
}
