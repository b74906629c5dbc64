import type { Clock } from './clock.ts';
import { secretsOf } from './event.ts';
import type { Invocation, InvocationStatus, Phases } from './invocation.ts';
import type { InvokeRequest } from './invoke.ts';
import { LogBuffer, redact } from './logs.ts';
import type { Taken } from './pool.ts';

/** How an invocation ended. */
export type End = Pick<Invocation, 'status' | 'exit' | 'error'>;

/** What is known of one invocation while it is on its way. Whatever leaves it has the function's secrets masked. */
export class ExecutionRecord {
  readonly phases: Phases = {};
  readonly logs: LogBuffer;
  /** The HTTP status the caller got. */
  statusCode: number | null = null;
  ended: End | undefined;
  /** The sandbox has sent more log than was kept of it there. */
  droppedLog = false;
  /** Where it runs; `undefined` while it waits. */
  taken: Taken | undefined;
  readonly #request: InvokeRequest;
  readonly #clock: Clock;
  readonly #createdAt = new Date();
  #phaseBeganAt: number;

  constructor(request: InvokeRequest, clock: Clock, logBytes: number) {
    this.#request = request;
    this.#clock = clock;
    this.logs = new LogBuffer(logBytes);
    this.#phaseBeganAt = clock.now();
  }

  /** A phase begins now, and not with the end of the one before. */
  beginPhase(): void {
    this.#phaseBeganAt = this.#clock.now();
  }

  endPhase(phase: keyof Phases): void {
    const now = this.#clock.now();
    this.phases[phase] = now - this.#phaseBeganAt;
    this.#phaseBeganAt = now;
  }

  /** As it stands, while it has not ended. */
  underWay(): Invocation {
    return this.#with({ status: this.#statusNow, exit: null, error: null });
  }

  /** As it ended. */
  whole(): Invocation {
    return this.#with(this.ended!);
  }

  logged(): Pick<Invocation, 'logs' | 'logsTruncated'> {
    return {
      logs: this.logs.text(this.#secrets),
      logsTruncated: this.logs.truncated || this.droppedLog,
    };
  }

  mask(text: string): string {
    return redact(text, this.#secrets);
  }

  masked(error: NonNullable<Invocation['error']>): NonNullable<Invocation['error']> {
    const { code, message, trace } = error;
    return {
      code,
      message: this.mask(message),
      ...(trace !== undefined && { trace: this.mask(trace) }),
    };
  }

  get #statusNow(): InvocationStatus {
    return this.taken === undefined ? 'queued' : 'running';
  }

  get #secrets(): string[] {
    return secretsOf(this.#request.event);
  }

  #with({ status, exit, error }: End): Invocation {
    const { id, event, caller, trigger = 'http', replayOf = null, durable } = this.#request;
    return {
      id,
      eventId: event.id,
      eventName: event.name,
      eventVersion: event.current.version,
      ownerId: event.ownerId,
      callerId: caller.userId,
      status,
      start: this.taken?.start ?? null,
      isolation: this.taken?.sandbox.isolation ?? null,
      ...(this.taken && { securityLevel: this.taken.sandbox.level }),
      phases: { ...this.phases },
      statusCode: this.statusCode,
      exit,
      error,
      ...this.logged(),
      createdAt: this.#createdAt,
      endedAt: null,
      trigger,
      attempt: durable?.attempt ?? 1,
      failures: durable?.failures ?? 0,
      replayOf,
    };
  }
}
