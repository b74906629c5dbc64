import type {
  CatchUp,
  DisabledReason,
  Overlap,
  Schedule,
  ScheduleSettings,
  ScheduleState,
  SkipReason,
} from '../core/schedules/schedule.ts';
import { parseTarget } from '../core/target.ts';
import type { ScheduleTable } from './schema.ts';

export function settingsRow(settings: ScheduleSettings) {
  return {
    name: settings.name,
    event_name: parseTarget(settings.target)?.name ?? settings.target,
    target: settings.target,
    cron: settings.cron,
    at: settings.at?.getTime() ?? null,
    time_zone: settings.timeZone,
    payload: JSON.stringify(settings.payload ?? null),
    catch_up: settings.catchUp,
    overlap: settings.overlap,
    max_runs: settings.maxRuns,
    jitter_ms: settings.jitterMs,
  } satisfies Partial<ScheduleTable>;
}

export function stateRow(state: ScheduleState) {
  return {
    enabled: state.enabled ? 1 : 0,
    disabled_reason: state.disabledReason,
    next_at: state.nextAt?.getTime() ?? null,
    fire_at: state.fireAt?.getTime() ?? null,
    held: state.held ? 1 : 0,
    last_due_at: state.lastDueAt?.getTime() ?? null,
    last_run_at: state.lastRunAt?.getTime() ?? null,
    last_invocation_id: state.lastInvocationId,
    runs: state.runs,
    skipped: state.skipped,
    last_skipped_at: state.lastSkippedAt?.getTime() ?? null,
    last_skip_reason: state.lastSkipReason,
  } satisfies Partial<ScheduleTable>;
}

export function toSchedule(row: ScheduleTable): Schedule {
  return {
    id: row.id,
    ownerId: row.owner_id,
    tier: row.tier,
    name: row.name,
    target: row.target,
    cron: row.cron,
    at: dateOf(row.at),
    timeZone: row.time_zone,
    payload: JSON.parse(row.payload),
    enabled: row.enabled === 1,
    disabledReason: row.disabled_reason as DisabledReason | null,
    catchUp: row.catch_up as CatchUp,
    overlap: row.overlap as Overlap,
    maxRuns: row.max_runs,
    jitterMs: row.jitter_ms,
    nextAt: dateOf(row.next_at),
    fireAt: dateOf(row.fire_at),
    held: row.held === 1,
    lastDueAt: dateOf(row.last_due_at),
    lastRunAt: dateOf(row.last_run_at),
    lastInvocationId: row.last_invocation_id,
    runs: row.runs,
    skipped: row.skipped,
    lastSkippedAt: dateOf(row.last_skipped_at),
    lastSkipReason: row.last_skip_reason as SkipReason | null,
    revision: row.revision,
    createdAt: new Date(Number(row.created_at)),
    updatedAt: new Date(Number(row.updated_at)),
  };
}

const dateOf = (ms: number | string | null) => (ms === null ? null : new Date(Number(ms)));
