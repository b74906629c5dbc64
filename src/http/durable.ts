import { createRoute, z } from '@hono/zod-openapi';
import { INVOCATION_STATUSES } from '../core/invocation.ts';
import type { RedriveFilter } from '../core/queue/queue.ts';
import { GatewayError } from '../errors.ts';
import { jsonBody } from './body.ts';
import { type App, type AppDeps, authenticated, secured } from './context.ts';
import { owned } from './event-view.ts';
import { demandCancel, invocationView, isId, noInvocation } from './invocation-view.ts';
import { bearer, json, jsonRequest, problems } from './openapi.ts';
import { EVENT_NAME, invocationPageSchema, pageQuerySchema } from './schemas.ts';

const MAX_BODY_BYTES = 65_536;
const MAX_IDS = 1_000;
/** Redriven in one go; who has more asks again. */
const MAX_REDRIVEN = 10_000;
/** Of these there are indices over all events of an owner. */
const LISTED_WITHOUT_EVENT: ReadonlySet<string> = new Set(['queued', 'running', 'dead']);

const params = z.object({ id: z.string() });
const countSchema = z.object({ redriven: z.int() }).openapi('Redriven');

/** What is done with invocations that nobody waits for. */
export function registerDurable(app: App, deps: AppDeps): void {
  const { auth, invocations, queue } = deps;
  const read = secured(auth, 'events:read');
  const invoke = secured(auth, 'events:invoke');

  const list = createRoute({
    method: 'get',
    path: '/v1/invocations',
    operationId: 'listInvocationsByStatus',
    summary: 'Invocations of your functions that stand so, newest first',
    security: bearer,
    middleware: [read] as const,
    request: {
      query: pageQuerySchema.extend({
        status: z.enum(INVOCATION_STATUSES),
        event: z.string().regex(EVENT_NAME).optional().openapi({
          description: 'One function; needed for every status but queued, running and dead',
        }),
      }),
    },
    responses: { 200: json('A page of invocations', invocationPageSchema), ...problems(401, 403, 422) },
  });
  app.openapi(list, async (c) => {
    const { status, event, limit, cursor } = c.req.valid('query');
    if (event === undefined && !LISTED_WITHOUT_EVENT.has(status)) {
      throw new GatewayError('validation_failed', `The status ${status} needs an event`, {
        faults: [{ path: 'event', message: `must be given with the status ${status}` }],
      });
    }
    const filter = { status, ...(event === undefined ? {} : { eventName: event }) };
    const page = { limit, ...(cursor === undefined ? {} : { cursor }) };
    const { items, nextCursor } = await invocations.listByStatus(c.var.principal.userId, filter, page);
    return c.json({ items: items.map((item) => invocationView(item)), nextCursor }, 200);
  });

  const cancel = createRoute({
    method: 'delete',
    path: '/v1/invocations/{id}',
    operationId: 'cancelInvocation',
    summary: 'Cancel an invocation that nobody waits for; if it runs, its sandbox is killed',
    security: bearer,
    middleware: [authenticated(auth)] as const,
    request: { params },
    responses: {
      202: { description: 'Asked for: its sandbox is being killed' },
      204: { description: 'Cancelled: it will not run' },
      ...problems(401, 403, 404, 409),
    },
  });
  app.openapi(cancel, async (c) => {
    const { id } = c.req.valid('param');
    const invocation = isId(id) ? await invocations.find(id) : undefined;
    demandCancel(invocation, id, c.var.principal);
    const was = await queue.cancel(id);
    if (was === 'queued') return c.body(null, 204);
    if (was === 'running') return c.body(null, 202);
    const message =
      was === undefined ? 'Its caller waits for it, and ends it by leaving' : `It is ${was} already`;
    throw new GatewayError('invocation_ended', `The invocation ${id} cannot be cancelled: ${message}`);
  });

  const redrive = createRoute({
    method: 'post',
    path: '/v1/invocations/{id}/redrive',
    operationId: 'redriveInvocation',
    summary: 'Run a dead invocation again, with all its attempts before it',
    security: bearer,
    middleware: [invoke] as const,
    request: { params },
    responses: { 202: json('It waits again', countSchema), ...problems(401, 403, 404, 409) },
  });
  app.openapi(redrive, async (c) => {
    const { id } = c.req.valid('param');
    const { userId } = c.var.principal;
    const invocation = isId(id) ? await invocations.find(id) : undefined;
    if (invocation?.ownerId !== userId) throw noInvocation(id);
    const redriven = await queue.redrive({ ownerId: userId, ids: [id], limit: 1 });
    if (redriven === 1) return c.json({ redriven }, 202);
    const why = invocation.status === 'dead' ? 'its payload is kept no longer' : `it is ${invocation.status}`;
    throw new GatewayError('invocation_ended', `Only dead invocations can be redriven: ${why}`);
  });

  const secret = createRoute({
    method: 'get',
    path: '/v1/events/{name}/callback-secret',
    operationId: 'getCallbackSecret',
    summary: 'What the callbacks of one of your functions are signed with',
    security: bearer,
    middleware: [secured(auth, 'events:write')] as const,
    request: { params: z.object({ name: z.string() }) },
    responses: {
      200: json(
        'For a library of Standard Webhooks',
        z.object({ secret: z.string() }).openapi('CallbackSecret'),
      ),
      ...problems(401, 403, 404),
    },
  });
  app.openapi(secret, async (c) => {
    const event = await owned(deps, c.var.principal.userId, c.req.valid('param').name);
    return c.json({ secret: deps.callbackSecretOf(event.id) }, 200, { 'cache-control': 'no-store' });
  });

  const redriveMany = createRoute({
    method: 'post',
    path: '/v1/events/{name}/redrive',
    operationId: 'redriveInvocations',
    summary: 'Run dead invocations of one of your functions again, the oldest first',
    description: `At most ${MAX_REDRIVEN} at once: ask again until the answer is 0.`,
    security: bearer,
    middleware: [invoke, jsonBody(MAX_BODY_BYTES)] as const,
    request: {
      params: z.object({ name: z.string() }),
      ...jsonRequest(
        z
          .strictObject({
            status: z.literal('dead'),
            ids: z.array(z.string()).max(MAX_IDS).optional(),
            before: z.iso.datetime({ offset: true }).optional().openapi({ description: 'Created before' }),
          })
          .openapi('Redrive', { example: { status: 'dead' } }),
      ),
    },
    responses: {
      202: json('How many wait again', countSchema),
      ...problems(400, 401, 403, 404, 413, 415, 422),
    },
  });
  app.openapi(redriveMany, async (c) => {
    const { name } = c.req.valid('param');
    const { ids, before } = c.req.valid('json');
    const { userId } = c.var.principal;
    await owned(deps, userId, name);
    const filter: RedriveFilter = {
      ownerId: userId,
      eventName: name,
      limit: MAX_REDRIVEN,
      ...(ids === undefined ? {} : { ids }),
      ...(before === undefined ? {} : { before: new Date(before) }),
    };
    return c.json({ redriven: ids?.length === 0 ? 0 : await queue.redrive(filter) }, 202);
  });
}
