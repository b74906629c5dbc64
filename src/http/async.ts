import type { Context } from 'hono';
import type { EnqueueRequest } from '../core/enqueue.ts';
import type { Event } from '../core/event.ts';
import { enqueueOnce, type Once } from '../core/once.ts';
import { GatewayError } from '../errors.ts';
import { CALLBACK_URL_RULE, isCallbackUrl } from './async-schemas.ts';
import type { AppDeps, AppEnv } from './context.ts';
import { REPLAYED_HEADER } from './function-response.ts';
import { onceDeps } from './idempotency-key.ts';

/** Whether the caller asks not to wait: RFC 7240, section 4.1, or as clients of Lambda do. */
export function asksForAsync(c: Context<AppEnv>): boolean {
  if (c.req.header('x-amz-invocation-type')?.toLowerCase() === 'event') return true;
  const preferences = (c.req.header('prefer') ?? '').split(',');
  return preferences.some((text) => text.split(';')[0]?.trim().toLowerCase() === 'respond-async');
}

/**
 * Where the caller wants to be told of the end.
 * @throws GatewayError `validation_failed`, or `unauthorized` for who is nobody: a public function is no way to make the gateway call
 *   others
 */
export function callbackOf(c: Context<AppEnv>, userId: string | null): { callbackUrl?: string } {
  const text = c.req.header('x-callback-url');
  if (text === undefined) return {};
  if (userId === null) throw new GatewayError('unauthorized', 'X-Callback-Url needs a token');
  if (isCallbackUrl(text)) return { callbackUrl: new URL(text).href };
  const faults = [{ path: 'X-Callback-Url', message: CALLBACK_URL_RULE }];
  throw new GatewayError('validation_failed', `X-Callback-Url ${CALLBACK_URL_RULE}`, { faults });
}

/** Takes the invocation, or finds it taken, and says where its result will be. */
export async function acceptAsync(
  c: Context<AppEnv>,
  deps: AppDeps,
  request: EnqueueRequest,
  once: Once | undefined,
): Promise<Response> {
  const { id, duplicate } =
    once === undefined
      ? await deps.enqueuer.enqueue(request)
      : await enqueueOnce(request, once, onceDeps(deps));
  const response = accepted(id, request.event);
  if (/\brespond-async\b/i.test(c.req.header('prefer') ?? ''))
    response.headers.set('preference-applied', 'respond-async');
  if (duplicate) response.headers.set(REPLAYED_HEADER, 'true');
  return response;
}

export function accepted(id: string, { name, current }: Event): Response {
  const headers = { location: `/v1/invocations/${id}`, 'x-cronium-invocation-id': id };
  return Response.json(
    { id, status: 'queued', event: name, version: current.version },
    { status: 202, headers },
  );
}
