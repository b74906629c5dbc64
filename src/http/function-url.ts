import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { Event } from '../core/event.ts';
import { invokeOnce } from '../core/once.ts';
import { parseTarget, withQualifier } from '../core/target.ts';
import { formatTraceparent, parseTraceparent } from '../core/traceparent.ts';
import { acceptAsync, asksForAsync, callbackOf } from './async.ts';
import { isGenuine } from './auth.ts';
import { readBody } from './body.ts';
import { asksForCold, demandEnabled, findEvent, forCaller } from './calls.ts';
import { type App, type AppDeps, type AppEnv, bindingsOf, remoteAddressOf } from './context.ts';
import { REPLAYED_HEADER, toResponse } from './function-response.ts';
import { IDEMPOTENCY_KEY_HEADER, onceDeps, onceOf } from './idempotency-key.ts';
import { bearer, problems } from './openapi.ts';
import { buildPayload } from './payload.ts';
import type { Principal } from './principal.ts';
import { receiptWanted } from './receipts.ts';
import { demandInvoke } from './scopes.ts';
import { serveWebhook } from './webhooks/serve.ts';

const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const;
const eventParam = z.string().openapi({ example: 'hello@3' });
const idempotencyKeyHeader = z.object(IDEMPOTENCY_KEY_HEADER);
const DOCUMENTED = [
  { path: '/e/{event}', params: z.object({ event: eventParam }), where: '' },
  { path: '/e/{event}/{path}', params: z.object({ event: eventParam, path: z.string() }), where: 'Path' },
];

/** `ANY /e/{event}` and below: the function URLs. */
export function registerFunctionUrl(app: App, deps: AppDeps): void {
  const handler = (c: Context<AppEnv>) => serve(c, deps);
  app.all('/e/:event', handler);
  app.all('/e/:event/*', handler);
  for (const { path, params, where } of DOCUMENTED) {
    for (const method of METHODS) {
      app.openAPIRegistry.registerPath({
        method,
        path,
        operationId: `${method}Function${where}`,
        summary: 'Call a function',
        description:
          'Any method and any path below the function’s URL are the function’s. After the name, `@` and a number call that version, `:` and an alias what it points to.',
        security: [...bearer, {}],
        request: { params, headers: idempotencyKeyHeader },
        responses: {
          200: { description: 'Whatever the function answers, with whatever status' },
          202: { description: 'Stored, after `Prefer: respond-async`; `Location` will have the result' },
          ...problems(401, 403, 404, 409, 413, 422, 429, 502, 503, 504),
        },
      });
    }
  }
}

async function serve(c: Context<AppEnv>, deps: AppDeps): Promise<Response> {
  const target = parseTarget(c.req.param('event') ?? '');
  const served = await findEvent(target?.name ?? '', deps.events);
  c.set('event', served);
  const { auth } = served;
  if (typeof auth === 'object') return serveWebhook(c, deps, { served, auth, qualifier: target?.qualifier });
  const { principal, withholdAuthorization } = await identify(c, served, deps);
  if (principal !== undefined) c.set('principal', principal);
  const event = await withQualifier(served, target?.qualifier, deps);
  c.set('event', event);
  demandEnabled(event);
  const forceCold = asksForCold(c, principal);
  const { raw } = c.req;
  const { incoming, outgoing } = bindingsOf(c);
  const body = await readBody(raw, deps.config.MAX_BODY_BYTES);
  const id = deps.newId();
  const address = remoteAddressOf(c);
  const parent = parseTraceparent(raw.headers.get('traceparent'));
  const isAsync = asksForAsync(c);
  const once = onceOf(c, { event, principal, body, isAsync }, deps.config);
  const request = {
    id,
    event,
    caller: { userId: principal?.userId ?? null, tier: principal?.tier ?? null, sourceIp: address },
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
      sourceIp: address ?? '',
      now: deps.now(),
    }),
    ...(parent && { traceparent: formatTraceparent(parent) }),
  };
  const receipt = receiptWanted(c, body);
  if (isAsync) {
    const callback = callbackOf(c, request.caller.userId);
    return acceptAsync(c, deps, { ...request, trigger: 'async', ...callback, ...receipt }, once);
  }
  try {
    const call = { ...request, forceCold, ...receipt };
    if (once === undefined) {
      const answer = await deps.invoker.invoke(call, raw.signal);
      return toResponse(answer, raw.method, outgoing, event.current.version);
    }
    const { answer, version, replayed } = await invokeOnce(call, once, onceDeps(deps));
    const response = toResponse(answer, raw.method, outgoing, version);
    if (replayed) response.headers.set(REPLAYED_HEADER, 'true');
    return response;
  } catch (error) {
    throw forCaller(error, id, principal?.userId === event.ownerId);
  }
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
  if (event.auth !== 'public') {
    const principal = await auth.authenticate(authorization);
    c.set('principal', principal);
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
