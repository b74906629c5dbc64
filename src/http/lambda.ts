import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { Event } from '../core/event.ts';
import type { InvokeResponse, Invoker } from '../core/invoke.ts';
import { enqueueOnce, invokeOnce } from '../core/once.ts';
import { withQualifier } from '../core/target.ts';
import { formatTraceparent, parseTraceparent } from '../core/traceparent.ts';
import { GatewayError } from '../errors.ts';
import { callbackOf } from './async.ts';
import { decode, parseJson, readBody } from './body.ts';
import { asksForCold, demandEnabled, findEvent } from './calls.ts';
import { type App, type AppDeps, type AppEnv, remoteAddressOf } from './context.ts';
import { REPLAYED_HEADER, VERSION_HEADER } from './function-response.ts';
import { IDEMPOTENCY_KEY_HEADER, onceDeps, onceOf } from './idempotency-key.ts';
import { lambdaAnswer, lambdaError } from './lambda-answer.ts';
import { parseFunctionName } from './lambda-name.ts';
import { bearer } from './openapi.ts';
import type { Principal } from './principal.ts';
import { receiptWanted } from './receipts.ts';
import { demandInvoke } from './scopes.ts';
import { serverTiming } from './server-timing.ts';

/** The version of Lambda's API is the date in its paths. */
const PATH = '/2015-03-31/functions/:name/invocations';

/** `Invoke` of AWS Lambda's API, as its own clients call it. */
export function registerLambda(app: App, deps: AppDeps): void {
  app.post(PATH, async (c) => {
    const requestId = deps.newId();
    try {
      return await serve(c, deps, requestId);
    } catch (error) {
      // The app's own error handler would answer in another form; who watches requests still reads the error here.
      if (error instanceof Error) c.error = error;
      if (error instanceof GatewayError) return lambdaError(error, requestId);
      deps.logger.error('A request failed unexpectedly', { error, method: 'POST', path: c.req.path });
      const message = 'Something went wrong in the gateway; its log has the reason';
      return lambdaError(new GatewayError('internal_error', message), requestId);
    }
  });
  document(app);
}

async function serve(c: Context<AppEnv>, deps: AppDeps, requestId: string): Promise<Response> {
  const { name, qualifier } = parseFunctionName(c.req.param('name') ?? '', c.req.query('Qualifier'));
  const { event: served, principal } = await identify(c, name, deps);
  const event = await withQualifier(served, qualifier, deps);
  c.set('event', event);
  demandEnabled(event);
  const type = c.req.header('x-amz-invocation-type') ?? 'RequestResponse';
  if (type !== 'RequestResponse' && type !== 'DryRun' && type !== 'Event') throw unservedType(type);
  const forceCold = asksForCold(c, principal);
  const wantsLog = c.req.header('x-amz-log-type') === 'Tail';
  if (type === 'DryRun')
    return new Response(null, { status: 204, headers: commonHeaders(requestId, event.current.version) });

  const sent = await readBody(c.req.raw, deps.config.MAX_BODY_BYTES);
  const text = decode(sent);
  const parent = parseTraceparent(c.req.header('traceparent'));
  const userId = principal?.userId ?? null;
  const request = {
    id: requestId,
    event,
    caller: { userId, tier: principal?.tier ?? null, sourceIp: remoteAddressOf(c) },
    payload: text.trim() === '' ? {} : parseJson(text),
    ...(parent && { traceparent: formatTraceparent(parent) }),
  };
  const once = onceOf(c, { event, principal, body: sent, isAsync: type === 'Event' }, deps.config, false);
  const receipt = receiptWanted(c, sent);
  if (type === 'Event') {
    const accepted = { ...request, trigger: 'async' as const, ...callbackOf(c, userId), ...receipt };
    const { id, duplicate } =
      once === undefined
        ? await deps.enqueuer.enqueue(accepted)
        : await enqueueOnce(accepted, once, onceDeps(deps));
    const headers = commonHeaders(id, event.current.version);
    if (duplicate) headers.set(REPLAYED_HEADER, 'true');
    return new Response(null, { status: 202, headers });
  }
  const isOwner = principal?.userId === event.ownerId;
  const invoker: Invoker = {
    // As the caller gets it, so that it is kept so for its key.
    invoke: async (call, signal) =>
      lambdaAnswer(await deps.invoker.invoke(call, signal), { event, isOwner, wantsLog, at: deps.now() }),
  };
  const call = { ...request, forceCold, mode: 'raw' as const, ...receipt };
  if (once === undefined)
    return responseOf(await invoker.invoke(call, c.req.raw.signal), event.current.version);
  const { answer, version, replayed } = await invokeOnce(call, once, { ...onceDeps(deps), invoker });
  const response = responseOf(answer, version);
  if (replayed) response.headers.set(REPLAYED_HEADER, 'true');
  return response;
}

function responseOf(answer: InvokeResponse, version: number): Response {
  if (!(answer.body instanceof Uint8Array)) throw new TypeError('The answer is not a raw one');
  const headers = commonHeaders(answer.invocationId, version);
  for (const [name, value] of Object.entries(answer.headers)) headers.set(name, value);
  headers.set('x-cronium-start', answer.start);
  headers.set('x-cronium-isolation', answer.isolation);
  if (answer.securityLevel) headers.set('x-cronium-security-level', answer.securityLevel);
  if (answer.receipt !== undefined) headers.set('x-cronium-receipt', answer.receipt);
  const timing = serverTiming(answer.phases);
  if (timing !== '') headers.set('server-timing', timing);
  return new Response(Buffer.from(answer.body), { headers });
}

/** A token is checked before anything is told of the function, and is not needed for a public one. */
async function identify(
  c: Context<AppEnv>,
  name: string,
  { auth, events }: AppDeps,
): Promise<{ event: Event; principal: Principal | undefined }> {
  const found = await findEvent(name, events).catch((error: unknown) => error as Error);
  const authorization = authorizationOf(c);
  if (!(found instanceof Error) && found.auth === 'public' && authorization === undefined) {
    return { event: found, principal: undefined };
  }
  if (authorization === undefined) {
    const message =
      'A token is needed: give it to the client as the session token of its credentials, or send it as X-Cronium-Token';
    throw new GatewayError('unauthorized', message);
  }
  const principal = await auth.authenticate(authorization);
  c.set('principal', principal);
  if (found instanceof Error) throw found;
  c.set('event', found);
  if (found.auth !== 'public') demandInvoke(principal, found);
  return { event: found, principal };
}

/**
 * The token, from wherever a client can put it. The signature of AWS (SigV4) beside it is not checked: there is no secret
 * key that the gateway could check it with, and it is the token, signed by its issuer, that authenticates.
 */
function authorizationOf(c: Context<AppEnv>): string | undefined {
  const token = c.req.header('x-cronium-token') ?? c.req.header('x-amz-security-token');
  if (token !== undefined) return `Bearer ${token}`;
  const authorization = c.req.header('authorization');
  return authorization?.startsWith('AWS4-') ? undefined : authorization;
}

function commonHeaders(requestId: string, version: number): Headers {
  return new Headers({
    'x-amzn-requestid': requestId,
    'x-cronium-invocation-id': requestId,
    'x-amz-executed-version': String(version),
    [VERSION_HEADER]: String(version),
  });
}

function unservedType(type: string): GatewayError {
  return new GatewayError(
    'bad_request',
    `${JSON.stringify(type)} is no invocation type; use RequestResponse, Event or DryRun`,
  );
}

const errorSchema = z
  .object({ Type: z.enum(['User', 'Service']), message: z.string(), Message: z.string() })
  .openapi('LambdaError', {
    description: 'The header `x-amzn-ErrorType` has the name of the exception',
    example: { Type: 'User', message: 'There is no such event', Message: 'There is no such event' },
  });

function document(app: App): void {
  const refused = (description: string) => ({
    description,
    content: { 'application/json': { schema: errorSchema } },
  });
  app.openAPIRegistry.registerComponent('securitySchemes', 'sessionToken', {
    type: 'apiKey',
    in: 'header',
    name: 'X-Amz-Security-Token',
    description: 'The token as the session token of AWS credentials; X-Cronium-Token does the same',
  });
  app.openAPIRegistry.registerPath({
    method: 'post',
    path: PATH.replace(':name', '{name}'),
    operationId: 'invokeLambda',
    summary: 'Invoke of AWS Lambda’s API: the body is the function’s event, the answer what it returned',
    security: [{ sessionToken: [] }, ...bearer, {}],
    request: {
      params: z.object({ name: z.string().openapi({ example: 'hello' }) }),
      query: z.object({
        Qualifier: z.string().optional().openapi({ description: 'A version, an alias, or $LATEST' }),
      }),
      headers: z.object({
        'x-amz-invocation-type': z.enum(['RequestResponse', 'Event', 'DryRun']).optional(),
        'x-amz-log-type': z.enum(['None', 'Tail']).optional(),
        ...IDEMPOTENCY_KEY_HEADER,
      }),
      body: { content: { 'application/json': { schema: z.unknown(), example: { who: 'world' } } } },
    },
    responses: {
      200: {
        description: 'What the function returned, as JSON. With `X-Amz-Function-Error` it failed',
        content: { 'application/json': { schema: z.unknown() } },
      },
      202: { description: 'Stored; it runs without the caller' },
      204: { description: 'A dry run: the call would be allowed' },
      400: refused('The body is not JSON, or a parameter is not valid'),
      403: refused('No token, a bad one, or one that does not allow it'),
      404: refused('There is no such function, version or alias'),
      409: refused('The first request with this Idempotency-Key still runs; see `Retry-After`'),
      413: refused('The body is too large'),
      429: refused('The caller’s slots are used up; see `Retry-After`'),
      500: refused('The gateway failed'),
      503: refused('There is no capacity; see `Retry-After`'),
    },
  });
}
