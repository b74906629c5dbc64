import type { ErrorCode } from '../errors.ts';
import type { AnsweredRequest } from '../http/context.ts';
import type { AuditRecord, Outcome } from './entry.ts';

/** Who may not do what they asked for, or not now. What is wrong with a request itself is nobody's business but its sender's. */
const REFUSALS: ReadonlySet<string> = new Set<ErrorCode>([
  'unauthorized',
  'invalid_token',
  'invalid_signature',
  'insufficient_scope',
  'event_disabled',
  'too_many_requests',
  'isolation_unavailable',
  'audit_unavailable',
]);

/** By method and route; a change that is not here is named by both. */
const CHANGES: Readonly<Record<string, string>> = {
  'POST /v1/events': 'event.deploy',
  'PUT /v1/events/:name': 'event.replace',
  'PATCH /v1/events/:name': 'event.change',
  'DELETE /v1/events/:name': 'event.delete',
  'POST /v1/events/:name/rollback': 'event.rollback',
  'POST /v1/invocations/:id/replay': 'invocation.replay',
  'POST /v1/events/:name/replays': 'event.replay',
  'POST /v1/schedules': 'schedule.create',
  'PUT /v1/schedules/:name': 'schedule.replace',
  'DELETE /v1/schedules/:name': 'schedule.delete',
  'PUT /v1/events/:name/aliases/:alias': 'alias.put',
  'DELETE /v1/events/:name/aliases/:alias': 'alias.delete',
  'PUT /v1/variables/:name': 'variable.set',
  'DELETE /v1/variables/:name': 'variable.delete',
};
const READING: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
const EVENT_IN_PATH = /^\/v1\/events\/([a-z0-9][a-z0-9_-]{0,62})(?:\/|$)/;
const ACCEPTED = 202;

export const isRefusal = (code: string | undefined) => code !== undefined && REFUSALS.has(code);

/** What was changed by a request; `undefined` when it changed nothing. */
export function changeOf(request: AnsweredRequest): AuditRecord | undefined {
  const { method, route, status } = request;
  if (status >= 400 || READING.has(method) || !route.startsWith('/v1/')) return undefined;
  return recordOf(request, actionOf(request), 'ok');
}

/** A request that was turned away, or a call that was taken for later; calls that ran are told of by the invoker. */
export function refusalOf(request: AnsweredRequest): AuditRecord | undefined {
  const { invocationId, start, code } = request;
  if (invocationId !== undefined && start === undefined && isTaken(request))
    return recordOf(request, 'event.enqueue', 'ok');
  if (!isRefusal(code)) return undefined;
  // One with an id has a record that says why; but for the one that was not let so far.
  if (invocationId !== undefined && code !== 'audit_unavailable') return undefined;
  return recordOf(request, actionOf(request), 'refused');
}

/** Some senders of webhooks understand no other answer than 200. */
function isTaken({ status, route }: AnsweredRequest): boolean {
  return status === ACCEPTED || (status === 200 && route.startsWith('/e/'));
}

function actionOf({ method, route }: AnsweredRequest): string {
  const key = `${method} ${route}`;
  if (Object.hasOwn(CHANGES, key)) return CHANGES[key]!;
  return route.startsWith('/e/') || route.startsWith('/2015-03-31/') ? 'event.invoke' : key;
}

function recordOf(request: AnsweredRequest, action: string, outcome: Outcome): AuditRecord {
  const { userId, event, version, minIsolation, path, code, status, requestId, invocationId, remoteAddress } =
    request;
  return {
    action,
    actor: userId ?? null,
    subject: event ?? EVENT_IN_PATH.exec(path)?.[1] ?? path,
    outcome,
    code,
    status,
    requestId,
    invocationId,
    sourceIp: remoteAddress,
    ...(version !== undefined && { detail: { version, minIsolation } }),
  };
}
