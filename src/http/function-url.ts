import { getConnInfo } from '@hono/node-server/conninfo';
import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { Event } from '../core/event.ts';
import { formatTraceparent, parseTraceparent } from '../core/traceparent.ts';
import { type ErrorCode, GatewayError } from '../errors.ts';
import { isGenuine, type Principal } from './auth.ts';
import { readBody } from './body.ts';
import { type App, type AppDeps, type AppEnv, bindingsOf } from './context.ts';
import { toResponse } from './function-response.ts';
import { bearer, problems } from './openapi.ts';
import { buildPayload } from './payload.ts';
import { EVENT_NAME } from './schemas.ts';
import { demandInvoke, demandScope } from './scopes.ts';

/** Failures whose message is the function's own words: for its owner's eyes only. */
const OWN_WORDS: ReadonlySet<ErrorCode> = new Set([
  'function_error',
  'out_of_memory',
  'invalid_response',
  'response_too_large',
]);

/** `ANY /e/{event}` and below: the function URLs. */
export function registerFunctionUrl(app: App, deps: AppDeps): void {
  const handler = (c: Context<AppEnv>) => serve(c, deps);
  app.all('/e/:event', handler);
  app.all('/e/:event/*', handler);
  for (const method of ['get', 'post'] as const) {
    app.openAPIRegistry.registerPath({
      method,
      path: '/e/{event}',
      summary: 'Call a function; any method and any path below it are the function’s',
      security: [...bearer, {}],
      request: { params: z.object({ event: z.string() }) },
      responses: {
        200: { description: 'Whatever the function answers' },
        ...problems(401, 403, 404, 413, 429, 502, 503, 504),
      },
    });
  }
}

async function serve(c: Context<AppEnv>, deps: AppDeps): Promise<Response> {
  const event = await findEvent(c.req.param('event') ?? '', deps);
  c.set('event', event);
  const { principal, withholdAuthorization } = await identify(c, event, deps);
  if (principal !== undefined) c.set('principal', principal);
  if (!event.enabled) throw new GatewayError('event_disabled', `The event ${event.name} is disabled`);
  const forceCold = asksForCold(c, principal);
  const { raw } = c.req;
  const { incoming, outgoing } = bindingsOf(c);
  const body = await readBody(raw, deps.config.MAX_BODY_BYTES);
  const id = deps.newId();
  const parent = parseTraceparent(raw.headers.get('traceparent'));
  try {
    const answer = await deps.invoker.invoke(
      {
        id,
        event,
        caller: { userId: principal?.userId ?? null, tier: principal?.tier ?? null },
        payload: buildPayload({
          requestId: id,
          event,
          principal,
          method: raw.method,
          url: raw.url,
          headers: raw.headers,
          withholdAuthorization,
          body,
          protocol: `HTTP/${incoming?.httpVersion ?? '1.1'}`,
          sourceIp: sourceIp(c),
          now: deps.now(),
        }),
        ...(parent && { traceparent: formatTraceparent(parent) }),
        forceCold,
      },
      raw.signal,
    );
    return toResponse(answer, raw.method, outgoing);
  } catch (error) {
    throw forCaller(error, id, principal?.userId === event.ownerId);
  }
}

async function findEvent(name: string, { events }: AppDeps): Promise<Event> {
  const event = EVENT_NAME.test(name) ? await events.find(name) : undefined;
  if (event === undefined) throw new GatewayError('not_found', 'There is no such event');
  return event;
}

/**
 * Who calls. A public event may have an authorization of its own, which is passed on to it; but a token that was issued
 * for the gateway never reaches a function's code.
 */
async function identify(
  c: Context<AppEnv>,
  event: Event,
  { auth }: AppDeps,
): Promise<{ principal: Principal | undefined; withholdAuthorization: boolean }> {
  const authorization = c.req.header('authorization');
  if (event.auth === 'jwt') {
    const principal = await auth.authenticate(authorization);
    demandInvoke(principal, event);
    return { principal, withholdAuthorization: true };
  }
  if (authorization === undefined) return { principal: undefined, withholdAuthorization: true };
  try {
    return { principal: await auth.authenticate(authorization), withholdAuthorization: true };
  } catch (error) {
    return { principal: undefined, withholdAuthorization: isGenuine(error) };
  }
}

/** A cold start costs everybody, so asking for one needs the scope `bench`. */
function asksForCold(c: Context<AppEnv>, principal: Principal | undefined): boolean {
  if (c.req.header('x-cronium-start')?.toLowerCase() !== 'cold') return false;
  if (principal === undefined) {
    throw new GatewayError('insufficient_scope', 'A cold start needs a token with the scope bench', {
      scope: 'bench',
    });
  }
  demandScope(principal, 'bench');
  return true;
}

/** `X-Forwarded-For` is anybody's to write; only the socket is believed. */
function sourceIp(c: Context<AppEnv>): string {
  if (bindingsOf(c).incoming === undefined) return '';
  return (getConnInfo(c).remote.address ?? '').replace(/^::ffff:(?=\d+\.)/, '');
}

function forCaller(error: unknown, invocationId: string, isOwner: boolean): unknown {
  if (!(error instanceof GatewayError)) return error;
  const { code, faults, retryAfterSeconds, timing } = error;
  const message =
    isOwner || !OWN_WORDS.has(code)
      ? error.message
      : `The function failed; its owner finds out why by the invocation ${invocationId}`;
  return new GatewayError(code, message, {
    invocationId,
    faults,
    timing,
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    cause: error,
  });
}
