import type { Context } from 'hono';
import type { Event } from '../../core/event.ts';
import type { InvokeRequest } from '../../core/invoke.ts';
import { invokeOnce, type Once } from '../../core/once.ts';
import { type Qualifier, withQualifier } from '../../core/target.ts';
import { formatTraceparent, parseTraceparent } from '../../core/traceparent.ts';
import type { WebhookAuth } from '../../core/webhook.ts';
import { GatewayError } from '../../errors.ts';
import { accepted } from '../async.ts';
import { readBody } from '../body.ts';
import { demandEnabled, forCaller } from '../calls.ts';
import { type AppDeps, type AppEnv, bindingsOf, remoteAddressOf } from '../context.ts';
import { toResponse } from '../function-response.ts';
import { hash, onceDeps } from '../idempotency-key.ts';
import { buildPayload } from '../payload.ts';
import { problem } from '../problem.ts';
import { type Delivery, dedupKeyOf, deliveryOf } from './delivery.ts';
import { claimOf } from './schemes.ts';
import { demandRecent, demandSigned } from './verify.ts';

/** Says that a delivery came before, and that this is what it came to. */
const DUPLICATE = 'x-cronium-duplicate';

export interface Webhook {
  /** As it is found by its name. */
  served: Event;
  auth: WebhookAuth;
  qualifier: Qualifier;
}

/**
 * Takes a webhook: only its signature counts, and a token is no substitute. What is signed is stored before it is answered, or
 * answered as the function does.
 */
export async function serveWebhook(c: Context<AppEnv>, deps: AppDeps, webhook: Webhook): Promise<Response> {
  const { served, auth, qualifier } = webhook;
  const { raw } = c.req;
  if (raw.method !== 'POST') {
    const message = `${raw.method} is not allowed here: a webhook is sent with POST`;
    return problem(new GatewayError('method_not_allowed', message), { allow: 'POST' });
  }
  const now = deps.now();
  const claim = claimOf(auth, raw.headers);
  demandRecent(claim, auth, now);
  const body = await readBody(raw, deps.config.MAX_BODY_BYTES);
  demandSigned(claim, auth, body);
  const delivery = deliveryOf(auth, claim, body);
  if (delivery.challenge !== undefined) return c.text(delivery.challenge);

  const event = await withQualifier(served, qualifier, deps);
  c.set('event', event);
  demandEnabled(event);
  const id = deps.newId();
  const sourceIp = remoteAddressOf(c);
  const parent = parseTraceparent(raw.headers.get('traceparent'));
  const request: InvokeRequest = {
    id,
    event,
    caller: { userId: null, tier: null, sourceIp },
    payload: buildPayload({
      requestId: id,
      event,
      principal: undefined,
      webhook: { scheme: auth.scheme, id: delivery.id },
      method: raw.method,
      url: raw.url,
      headers: raw.headers,
      withholdAuthorization: true,
      body,
      protocol: `HTTP/${bindingsOf(c).incoming?.httpVersion ?? '1.1'}`,
      sourceIp: sourceIp ?? '',
      now,
    }),
    ...(parent && { traceparent: formatTraceparent(parent) }),
    forceCold: false,
  };
  return auth.respond === 'sync'
    ? answer(c, deps, request, onceOf(event, auth, delivery))
    : accept(deps, request, auth, delivery);
}

async function accept(
  { enqueuer }: AppDeps,
  { forceCold: _, ...request }: InvokeRequest,
  auth: WebhookAuth,
  delivery: Delivery,
): Promise<Response> {
  const { id, duplicate } = await enqueuer.enqueue({
    ...request,
    trigger: 'webhook',
    ...(delivery.id !== null &&
      auth.dedupSeconds > 0 && {
        dedup: {
          scope: `webhook:${request.event.id}`,
          key: dedupKeyOf(delivery.id),
          ttlMs: auth.dedupSeconds * 1_000,
        },
      }),
  });
  const response = accepted(id, request.event);
  if (duplicate) response.headers.set(DUPLICATE, 'true');
  if (auth.scheme !== 'slack') return response;
  // Commands and buttons of Slack take a 200 alone for done, and would show a body to whoever used them.
  response.headers.delete('content-type');
  return new Response(null, { status: 200, headers: response.headers });
}

/** A failure is not kept: the sender tries again, and the function may then succeed. */
function onceOf(event: Event, auth: WebhookAuth, { id }: Delivery): Once | undefined {
  if (id === null || auth.dedupSeconds === 0) return undefined;
  const key = hash(['webhook', event.id, id]);
  return { key, fingerprint: '', ttlMs: auth.dedupSeconds * 1_000, keeps: 'good' };
}

async function answer(
  c: Context<AppEnv>,
  deps: AppDeps,
  request: InvokeRequest,
  once: Once | undefined,
): Promise<Response> {
  const { raw } = c.req;
  const { outgoing } = bindingsOf(c);
  const { version } = request.event.current;
  try {
    if (once === undefined) {
      return toResponse(await deps.invoker.invoke(request, raw.signal), raw.method, outgoing, version);
    }
    const first = await invokeOnce(request, once, onceDeps(deps));
    const response = toResponse(first.answer, raw.method, outgoing, first.version);
    if (first.replayed) response.headers.set(DUPLICATE, 'true');
    return response;
  } catch (error) {
    throw forCaller(error, request.id, false);
  }
}
