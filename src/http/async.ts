import type { Context } from 'hono';
import type { EnqueueRequest } from '../core/enqueue.ts';
import { GatewayError } from '../errors.ts';
import type { AppDeps, AppEnv } from './context.ts';

const MAX_URL_LENGTH = 2_048;

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
  const url = text.length <= MAX_URL_LENGTH ? URL.parse(text) : null;
  if (url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '') {
    return { callbackUrl: url.href };
  }
  const message = `must be an http or https URL without a user, of at most ${MAX_URL_LENGTH} characters`;
  const faults = [{ path: 'X-Callback-Url', message }];
  throw new GatewayError('validation_failed', `X-Callback-Url ${message}`, { faults });
}

/** Takes the invocation and says where its result will be. */
export async function acceptAsync(
  c: Context<AppEnv>,
  deps: Pick<AppDeps, 'enqueuer'>,
  request: EnqueueRequest,
): Promise<Response> {
  const { id } = await deps.enqueuer.enqueue(request);
  const location = `/v1/invocations/${id}`;
  const headers = new Headers({ location, 'x-cronium-invocation-id': id });
  if (/\brespond-async\b/i.test(c.req.header('prefer') ?? ''))
    headers.set('preference-applied', 'respond-async');
  const body = { id, status: 'queued', event: request.event.name, version: request.event.current.version };
  return Response.json(body, { status: 202, headers });
}
