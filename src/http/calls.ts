import type { Context } from 'hono';
import type { Event } from '../core/event.ts';
import type { EventStore } from '../core/event-store.ts';
import { type ErrorCode, GatewayError } from '../errors.ts';
import type { AppEnv } from './context.ts';
import type { Principal } from './principal.ts';
import { EVENT_NAME } from './schemas.ts';
import { demandScope } from './scopes.ts';

/** Failures whose message is the function's own words: for its owner's eyes only. */
const OWN_WORDS: ReadonlySet<ErrorCode> = new Set([
  'function_error',
  'out_of_memory',
  'invalid_response',
  'response_too_large',
]);

/** @throws GatewayError `not_found` */
export async function findEvent(name: string, events: EventStore): Promise<Event> {
  const event = EVENT_NAME.test(name) ? await events.find(name) : undefined;
  if (event === undefined) throw new GatewayError('not_found', 'There is no such event');
  return event;
}

/** @throws GatewayError `event_disabled` */
export function demandEnabled(event: Event): void {
  if (!event.enabled) throw new GatewayError('event_disabled', `The event ${event.name} is disabled`);
}

/** A cold start costs everybody, so asking for one needs the scope `bench`. */
export function asksForCold(c: Context<AppEnv>, principal: Principal | undefined): boolean {
  if (c.req.header('x-cronium-start')?.toLowerCase() !== 'cold') return false;
  if (principal === undefined) {
    throw new GatewayError('insufficient_scope', 'A cold start needs a token with the scope bench', {
      scope: 'bench',
    });
  }
  demandScope(principal, 'bench');
  return true;
}

/** What those are told who do not own the function. */
export const failedFor = (invocationId: string) =>
  `The function failed; its owner finds out why by the invocation ${invocationId}`;

export function hidesOwnWords(code: ErrorCode): boolean {
  return OWN_WORDS.has(code);
}

/** What a failed invocation says to its caller; of an earlier one that it repeats, or waits for, the id stays. */
export function forCaller(error: unknown, invocationId: string, isOwner: boolean): unknown {
  if (!(error instanceof GatewayError)) return error;
  const { code, faults, retryAfterSeconds, timing, replayed } = error;
  const id = error.invocationId ?? invocationId;
  const message = isOwner || !hidesOwnWords(code) ? error.message : failedFor(id);
  return new GatewayError(code, message, {
    invocationId: id,
    faults,
    timing,
    replayed,
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    cause: error,
  });
}
