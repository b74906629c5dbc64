import type { EventStore } from '../event-store.ts';
import type { Attempted } from './attempt.ts';
import { type Claimed, type Ending, MAX_DEPTH, type NewInvocation, type StoredResult } from './queue.ts';
import { asyncOf } from './settings.ts';

export interface OutcomeDeps {
  events: Pick<EventStore, 'find'>;
  newId: () => string;
  /** Somebody cannot be told: why. */
  onDropped: (reason: string, invocationId: string) => void;
}

/** Adds who is told of the end: the URL that the caller named, and the destination that the event has. */
export async function outcomeOf(
  claimed: Claimed,
  { event }: Attempted,
  ending: Ending,
  deps: OutcomeDeps,
): Promise<Ending> {
  // Running something again tries it: nobody is to act on it a second time.
  if (claimed.trigger === 'replay') return ending;
  const settings = asyncOf(event ?? {});
  const succeeded = ending.status === 'succeeded';
  const destination = succeeded ? settings.onSuccess : settings.onFailure;
  const kind = succeeded ? 'success' : 'failure';
  const { callbackUrl } = claimed;
  const urls = [
    ...(callbackUrl === null ? [] : [{ kind: 'callback' as const, url: callbackUrl }]),
    ...(destination !== null && 'url' in destination ? [{ kind, url: destination.url } as const] : []),
  ];
  const deliveries = urls.map((told) => ({ ...told, id: deps.newId() }));
  if (destination === null || !('event' in destination)) return { ...ending, deliveries };
  const next = await invocationOf(destination.event, claimed, ending, deps);
  return { ...ending, deliveries, next: next === undefined ? [] : [next] };
}

async function invocationOf(
  name: string,
  claimed: Claimed,
  ending: Ending,
  { events, newId, onDropped }: OutcomeDeps,
): Promise<NewInvocation | undefined> {
  if (claimed.depth >= MAX_DEPTH) {
    onDropped(`it is the ${MAX_DEPTH}th of a chain of destinations`, claimed.id);
    return undefined;
  }
  const event = await events.find(name).catch(() => undefined);
  if (event?.ownerId !== claimed.ownerId || !event.enabled) {
    onDropped(`its owner has no enabled event ${name}`, claimed.id);
    return undefined;
  }
  return {
    id: newId(),
    event,
    caller: { userId: claimed.ownerId, tier: claimed.callerTier },
    trigger: 'destination',
    payload: lambdaEnvelope(claimed, ending),
    depth: claimed.depth + 1,
    ...(claimed.traceparent !== null && { traceparent: claimed.traceparent }),
  };
}

/** What a destination of AWS Lambda receives. */
function lambdaEnvelope(claimed: Claimed, { status, record, result }: Ending) {
  const succeeded = status === 'succeeded';
  return {
    version: '1.0',
    timestamp: new Date().toISOString(),
    requestContext: {
      requestId: claimed.id,
      functionArn: `arn:aws:lambda:local:000000000000:function:${claimed.eventName}:${claimed.eventVersion}`,
      condition: succeeded ? 'Success' : 'RetriesExhausted',
      approximateInvokeCount: claimed.attempt,
    },
    requestPayload: claimed.payload,
    responseContext: {
      statusCode: record.statusCode ?? 0,
      executedVersion: String(claimed.eventVersion),
      ...(!succeeded && { functionError: 'Unhandled' }),
    },
    responsePayload: succeeded
      ? answerOf(result)
      : { errorType: record.error?.code, errorMessage: record.error?.message },
  };
}

/** The answer as a value, where it is one. */
function answerOf(result: StoredResult | undefined): unknown {
  if (result === undefined || result.isBase64Encoded) return result?.body ?? null;
  try {
    return JSON.parse(result.body);
  } catch {
    return result.body;
  }
}
