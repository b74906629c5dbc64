import { GatewayError, messageOf } from '../../errors.ts';
import type { Event } from '../event.ts';
import type { EventStore } from '../event-store.ts';
import type { Invocation } from '../invocation.ts';
import type { Invoker } from '../invoke.ts';
import { collectResult } from './collect.ts';
import type { AttemptRecord, Claimed, StoredResult } from './queue.ts';
import type { Failure } from './verdict.ts';

export interface AttemptDeps {
  events: Pick<EventStore, 'find' | 'findVersion'>;
  invoker: Invoker;
  /** Largest result that is kept, bytes. */
  resultBytes: number;
}

/** How one attempt ended. */
export interface Attempted {
  /** As it is now; `undefined` when it has been removed. */
  event: Event | undefined;
  failure: Failure | null;
  record: AttemptRecord;
  result?: StoredResult;
}

const NOTHING: AttemptRecord = {
  start: null,
  isolation: null,
  phases: {},
  statusCode: null,
  exit: null,
  error: null,
  logs: '',
  logsTruncated: false,
};

/** What is written of an attempt that never came to a sandbox. */
export const recordOf = (error: Failure | null): AttemptRecord => ({ ...NOTHING, error });

/** Runs a claimed invocation once; never rejects. */
export async function attempt(claimed: Claimed, deps: AttemptDeps, signal: AbortSignal): Promise<Attempted> {
  let event: Event | undefined;
  try {
    const now = await deps.events.find(claimed.eventName);
    event = now?.id === claimed.eventId ? now : undefined;
    const refused = (code: string, message: string) => {
      const failure = { code, message };
      return { event, failure, record: recordOf(failure) };
    };
    if (event === undefined) return refused('not_found', 'The event was removed');
    const current = await versionOf(event, claimed.eventVersion, deps);
    if (current === undefined) return refused('not_found', `There is no version ${claimed.eventVersion}`);
    if (!event.enabled) return refused('event_disabled', `The event ${event.name} is disabled`);
    return { event, ...(await run(claimed, { ...event, current }, deps, signal)) };
  } catch (error) {
    const failure = failureOf(error);
    return { event, failure, record: recordOf(failure) };
  }
}

function versionOf(event: Event, version: number, { events }: AttemptDeps) {
  return event.current.version === version ? event.current : events.findVersion(event, version);
}

async function run(
  claimed: Claimed,
  event: Event,
  { invoker, resultBytes }: AttemptDeps,
  signal: AbortSignal,
): Promise<Omit<Attempted, 'event'>> {
  const { promise: ended, resolve } = Promise.withResolvers<Invocation>();
  let began = false;
  let result: StoredResult | undefined;
  let failure: Failure | null = null;
  try {
    const answer = await invoker.invoke(
      {
        id: claimed.id,
        event,
        caller: { userId: claimed.callerId, tier: claimed.callerTier },
        payload: claimed.payload,
        trigger: claimed.trigger,
        forceCold: false,
        ...(claimed.traceparent !== null && { traceparent: claimed.traceparent }),
        ...(claimed.replayOf !== null && { replayOf: claimed.replayOf }),
        ...(claimed.inputSha256 !== null && { receipt: { inputSha256: claimed.inputSha256 } }),
        durable: {
          attempt: claimed.attempt,
          failures: claimed.failures,
          began: () => {
            began = true;
          },
          ended: resolve,
        },
      },
      signal,
    );
    result = await collectResult(answer, resultBytes);
    if (result === undefined) failure = tooLarge(resultBytes);
  } catch (error) {
    failure = failureOf(error);
    if (!began) return { failure, record: recordOf(failure) };
  }
  const record = await ended;
  // The record has the function's own words; what was found here comes on top.
  if (failure?.code !== 'response_too_large') failure = record.error;
  return { failure, record: { ...record, error: failure }, ...(result !== undefined && { result }) };
}

const tooLarge = (bytes: number): Failure => ({
  code: 'response_too_large',
  message: `The response is larger than ${bytes} bytes, and is kept whole.`,
});

function failureOf(error: unknown): Failure {
  const code = error instanceof GatewayError ? error.code : 'internal_error';
  return { code, message: messageOf(error) };
}
