import type { Invocation } from '../../src/core/invocation.ts';

/** An invocation that went well. */
export function invocation(changes: Partial<Invocation> = {}): Invocation {
  return {
    id: '0190a3c2-7b1e-7000-8000-000000000001',
    eventId: '0190a3c2-7b1e-7000-8000-000000000002',
    eventName: 'hello',
    eventVersion: 1,
    ownerId: 'alice',
    callerId: null,
    status: 'succeeded',
    start: 'warm',
    isolation: 'bubblewrap',
    phases: { admit: 0.05, acquire: 0.2, inject: 1, exec: 12, destroy: 20 },
    statusCode: 200,
    exit: null,
    error: null,
    logs: '',
    logsTruncated: false,
    createdAt: new Date(),
    trigger: 'http',
    attempt: 1,
    failures: 0,
    replayOf: null,
    endedAt: new Date(),
    ...changes,
  };
}
