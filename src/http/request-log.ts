import type { Context, MiddlewareHandler } from 'hono';
import { routePath } from 'hono/route';
import { GatewayError } from '../errors.ts';
import { type AnsweredRequest, type AppEnv, type AuditGate, remoteAddressOf } from './context.ts';

export const UNMATCHED = 'unmatched';
/** What others may choose as the id of a request: nothing that could be taken for something else in a log. */
const REQUEST_ID = /^[\w.:-]{1,128}$/;
const MAX_PATH_CHARS = 512;

/**
 * Tells of every request once, when its answer's head is final; and gives each answer its `X-Request-Id` and, where the
 * handler has not said more, the whole time as `Server-Timing`.
 */
export function watchRequests(
  onAnswered: (request: AnsweredRequest) => void,
  newId: () => string,
  audit?: AuditGate,
): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const beganAt = performance.now();
    await next();
    const durationMs = performance.now() - beganAt;
    const { headers, status } = c.res;
    const given = c.req.header('x-request-id');
    const requestId = given !== undefined && REQUEST_ID.test(given) ? given : newId();
    if (!headers.has('server-timing')) headers.set('server-timing', `total;dur=${durationMs.toFixed(3)}`);
    if (!headers.has('x-request-id')) headers.set('x-request-id', requestId);
    const event = c.get('event');
    const answered: AnsweredRequest = {
      requestId,
      method: c.req.method,
      route: routeOf(c),
      path: c.req.path.slice(0, MAX_PATH_CHARS),
      status,
      durationMs,
      remoteAddress: remoteAddressOf(c),
      userId: c.get('principal')?.userId,
      invocationId: headers.get('x-cronium-invocation-id') ?? undefined,
      event: event?.name,
      version: event?.current.version,
      minIsolation: event?.current.minIsolation,
      start: headers.get('x-cronium-start') ?? undefined,
      isolation: headers.get('x-cronium-isolation') ?? undefined,
      code: codeOf(c, status),
    };
    const written = audit?.changed(answered);
    if (written !== undefined) await written;
    // After the answer has left: its caller need not wait until it is counted and written down.
    setImmediate(() => onAnswered(answered));
  };
}

/** Lets nothing be changed that could not be written down. */
export function refuseUnlogged(audit: AuditGate): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    if (c.req.method !== 'GET' && c.req.method !== 'HEAD') audit.demandWritable();
    await next();
  };
}

/** Short, unique in this process and, by its beginning, among those of other starts. */
export function requestIds(seed: string): () => string {
  let count = 0;
  return () => {
    count += 1;
    return `${seed}-${count.toString(36)}`;
  };
}

function routeOf(c: Context<AppEnv>): string {
  // After the handlers, the innermost of those that ran: this middleware itself where there was none.
  const route = routePath(c);
  return route === '*' || route === '/*' ? UNMATCHED : route;
}

function codeOf(c: Context<AppEnv>, status: number): string | undefined {
  if (c.error instanceof GatewayError) return c.error.code;
  if (c.error !== undefined) return status < 500 ? 'bad_request' : 'internal_error';
  // Answered without an error thrown; a function's own 404 has an invocation.
  if (status === 405 && !c.res.headers.has('x-cronium-start')) return 'method_not_allowed';
  return status === 404 && routeOf(c) === UNMATCHED ? 'not_found' : undefined;
}
