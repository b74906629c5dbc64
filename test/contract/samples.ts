import { v7 as uuidv7 } from 'uuid';
import type { EventDraft } from '../../src/core/event.ts';
import type { Invocation } from '../../src/core/invocation.ts';

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
