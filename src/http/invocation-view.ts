import type { z } from '@hono/zod-openapi';
import type { Invocation } from '../core/invocation.ts';
import type { StoredResult } from '../core/queue/queue.ts';
import { type ErrorCode, GatewayError } from '../errors.ts';
import { failedFor, hidesOwnWords } from './calls.ts';
import type { Principal } from './principal.ts';
import type { invocationSchema } from './schemas.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export const isId = (text: string) => UUID.test(text);

export const noInvocation = (id: string) => new GatewayError('not_found', `You have no invocation ${id}`);

/** What may be seen of an invocation: all of it, or how it stands and what came of it. */
export type Sight = 'all' | 'outcome';

/**
 * An owner who may read sees everything. Whoever may call the function, its owner too, sees what came of the calls that they made
 * themselves, and neither logs nor the function's own words.
 * @throws GatewayError `not_found` for others, `insufficient_scope` for those who may not even read their own
 */
export function sightOf(invocation: Invocation | undefined, id: string, by: Principal): Sight {
  const mayRead = by.scopes.has('events:read');
  if (mayRead && invocation?.ownerId === by.userId) return 'all';
  if (invocation?.callerId === by.userId && mayInvoke(invocation, by)) return 'outcome';
  // The same whether there is one or not.
  if (mayRead) throw noInvocation(id);
  throw new GatewayError('insufficient_scope', 'The token does not have the scope events:read', {
    scope: 'events:read',
  });
}

/**
 * Whoever may call the function may cancel the calls that they made; its owner, any.
 * @throws GatewayError
 */
export function demandCancel(invocation: Invocation | undefined, id: string, by: Principal): void {
  if (invocation === undefined) throw noInvocation(id);
  const isOwner = invocation.ownerId === by.userId;
  if (!isOwner && invocation.callerId !== by.userId) throw noInvocation(id);
  if (mayInvoke(invocation, by)) return;
  const scope = isOwner ? 'events:invoke' : `event:${invocation.eventName}:invoke`;
  throw new GatewayError('insufficient_scope', `The token does not have the scope ${scope}`, { scope });
}

function mayInvoke({ ownerId, eventName }: Invocation, { userId, scopes }: Principal): boolean {
  return scopes.has(`event:${eventName}:invoke`) || (ownerId === userId && scopes.has('events:invoke'));
}

export function invocationView(
  invocation: Invocation,
  { sight = 'all', result }: { sight?: Sight; result?: StoredResult | undefined } = {},
): z.infer<typeof invocationSchema> {
  const { id, status, start, isolation, phases, statusCode, exit, error, logs, logsTruncated } = invocation;
  const all = sight === 'all';
  return {
    id,
    event: invocation.eventName,
    version: invocation.eventVersion,
    status,
    start,
    isolation,
    securityLevel: invocation.securityLevel ?? null,
    phases,
    statusCode,
    exit,
    error: all || error === null ? error : { code: error.code, message: messageFor(error, id) },
    logs: all ? logs : '',
    logsTruncated: all ? logsTruncated : false,
    createdAt: invocation.createdAt.toISOString(),
    endedAt: invocation.endedAt?.toISOString() ?? null,
    trigger: invocation.trigger,
    attempt: invocation.attempt,
    failures: invocation.failures,
    replayOf: invocation.replayOf,
    ...(result !== undefined && { result }),
  };
}

function messageFor({ code, message }: { code: string; message: string }, id: string): string {
  return hidesOwnWords(code as ErrorCode) ? failedFor(id) : message;
}
