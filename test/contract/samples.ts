import { v7 as uuidv7 } from 'uuid';
import type { EventDraft } from '../../src/core/event.ts';
import type { Invocation } from '../../src/core/invocation.ts';
import type { AttemptRecord, Claimed } from '../../src/core/queue/queue.ts';
import type { ScheduleSettings, ScheduleState } from '../../src/core/schedules/schedule.ts';

export function draft(changes: Partial<EventDraft> = {}): EventDraft {
  return {
    name: 'hello',
    runtime: 'python',
    code: 'def handler(event, context): return "hi"',
    description: 'says hi',
    auth: 'jwt',
    enabled: true,
    limits: { timeoutMs: 30_000, memoryMb: 512, cpus: 0.5 },
    env: { GREETING: 'hi' },
    secrets: { TOKEN: 'tø-secret' },
    ...changes,
  };
}

export function invocation(changes: Partial<Invocation> = {}): Invocation {
  return {
    id: uuidv7(),
    eventId: uuidv7(),
    eventName: 'hello',
    eventVersion: 1,
    ownerId: 'alice',
    callerId: null,
    status: 'succeeded',
    start: 'warm',
    isolation: 'bubblewrap',
    securityLevel: 'enhanced',
    phases: { admit: 0.1, acquire: 0.2, inject: 0.3, exec: 12.5 },
    statusCode: 200,
    exit: { code: 0, signal: null },
    error: null,
    logs: 'one\ntwo\n',
    logsTruncated: false,
    createdAt: new Date('2026-01-02T03:04:05.678Z'),
    endedAt: new Date('2026-01-02T03:04:06.789Z'),
    trigger: 'http',
    attempt: 1,
    failures: 0,
    replayOf: null,
    ...changes,
  };
}

/** What an attempt left that succeeded. */
export const RECORD: AttemptRecord = {
  start: 'warm',
  isolation: 'bubblewrap',
  securityLevel: 'enhanced',
  phases: { exec: 1 },
  statusCode: 200,
  exit: null,
  error: null,
  logs: 'said\n',
  logsTruncated: false,
};

export function claimed(changes: Partial<Claimed> = {}): Claimed {
  return {
    id: 'invocation-1',
    attempt: 1,
    lease: 'gateway:1',
    eventId: 'event-id',
    eventName: 'hello',
    eventVersion: 3,
    ownerId: 'owner',
    callerId: 'alice',
    callerTier: null,
    trigger: 'async',
    payload: {},
    traceparent: null,
    callbackUrl: null,
    replayOf: null,
    inputSha256: null,
    depth: 0,
    createdAt: new Date(0),
    failures: 0,
    crashes: 0,
    cancelRequested: false,
    ageMs: 0,
    ...changes,
  };
}

/** When the sample of a schedule is due. */
export const DUE = new Date('2026-01-01T10:00:00Z');

export function scheduleSettings(changes: Partial<ScheduleSettings> = {}): ScheduleSettings {
  return {
    name: 'nightly',
    target: 'hello',
    cron: '* * * * *',
    at: null,
    timeZone: 'UTC',
    payload: { full: true },
    enabled: true,
    catchUp: 'one',
    overlap: 'allow',
    maxRuns: null,
    jitterMs: 0,
    ...changes,
  };
}

export function scheduleState(changes: Partial<ScheduleState> = {}): ScheduleState {
  return {
    enabled: true,
    disabledReason: null,
    nextAt: DUE,
    fireAt: DUE,
    held: false,
    lastDueAt: null,
    lastRunAt: null,
    lastInvocationId: null,
    runs: 0,
    skipped: 0,
    lastSkippedAt: null,
    lastSkipReason: null,
    ...changes,
  };
}
