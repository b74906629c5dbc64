import { createRoute, z } from '@hono/zod-openapi';
import type { Replay } from '../core/replays/replay.ts';
import { summaryOf } from '../core/replays/summary.ts';
import type { Qualifier } from '../core/target.ts';
import { GatewayError } from '../errors.ts';
import { jsonBody } from './body.ts';
import { demandEnabled } from './calls.ts';
import { type App, type AppDeps, secured } from './context.ts';
import { owned } from './event-view.ts';
import { bearer, json, jsonRequest, problems } from './openapi.ts';
import { newReplaySchema, replayedSchema, replayRequestSchema, replaySchema } from './replay-schemas.ts';
import { demandInvoke } from './scopes.ts';

const MAX_BODY_BYTES = 16_384;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Kept invocations, run again on their own version or another one. */
export function registerReplays(app: App, deps: AppDeps): void {
  const { auth, invocations, replays } = deps;
  const read = secured(auth, 'events:read');
  const body = jsonBody(MAX_BODY_BYTES);

  const again = createRoute({
    method: 'post',
    path: '/v1/invocations/{id}/replay',
    operationId: 'replayInvocation',
    summary: 'Run an invocation again with what it was called with, on its own version or another one',
    security: bearer,
    middleware: [read, body] as const,
    request: { params: z.object({ id: z.string() }), ...jsonRequest(replayRequestSchema) },
    responses: {
      202: json('Stored; it runs as an invocation of its own', replayedSchema),
      ...problems(400, 401, 403, 404, 410, 413, 415, 422, 429, 503),
    },
  });
  app.openapi(again, async (c) => {
    const { id } = c.req.valid('param');
    const { principal } = c.var;
    const invocation = UUID.test(id) ? await invocations.find(id) : undefined;
    if (invocation?.ownerId !== principal.userId) {
      throw new GatewayError('not_found', `You have no invocation ${id}`);
    }
    const event = await owned(deps, principal.userId, invocation.eventName);
    // An event that was removed and made anew has versions of its own.
    if (event.id !== invocation.eventId) {
      throw new GatewayError('not_found', `The event that ${id} called was removed`);
    }
    demandInvoke(principal, event);
    demandEnabled(event);
    const { version, alias } = c.req.valid('json');
    const qualifier: Qualifier =
      version !== undefined ? { version: String(version) } : alias === undefined ? undefined : { alias };
    const caller = { userId: principal.userId, tier: principal.tier };
    const replayed = await replays.again(invocation, event, caller, qualifier);
    c.set('event', replayed.event);
    const view = {
      id: replayed.id,
      status: 'queued' as const,
      event: event.name,
      version: replayed.event.current.version,
      replayOf: id,
    };
    const headers = { Location: `/v1/invocations/${replayed.id}`, 'X-Cronium-Invocation-Id': replayed.id };
    return c.json(view, 202, headers);
  });

  const compare = createRoute({
    method: 'post',
    path: '/v1/events/{name}/replays',
    operationId: 'compareVersions',
    summary: 'Run the last invocations of a function again on a version, and compare what they answer',
    description: 'Each is run as an invocation of its own, with CRONIUM_REPLAY=true in its environment.',
    security: bearer,
    middleware: [read, body] as const,
    request: { params: z.object({ name: z.string() }), ...jsonRequest(newReplaySchema) },
    responses: {
      202: json('Stored; GET it until it is done', replaySchema),
      ...problems(400, 401, 403, 404, 410, 413, 415, 422, 503),
    },
  });
  app.openapi(compare, async (c) => {
    const { principal } = c.var;
    const event = await owned(deps, principal.userId, c.req.valid('param').name);
    c.set('event', event);
    demandInvoke(principal, event);
    demandEnabled(event);
    const caller = { userId: principal.userId, tier: principal.tier };
    const replay = await replays.compare(event, caller, c.req.valid('json'));
    return c.json(viewOf(replay), 202, { Location: `/v1/replays/${replay.id}` });
  });

  const get = createRoute({
    method: 'get',
    path: '/v1/replays/{id}',
    operationId: 'getReplay',
    summary: 'How a version differs on the invocations that were run again, as far as they have ended',
    security: bearer,
    middleware: [read] as const,
    request: { params: z.object({ id: z.string() }) },
    responses: { 200: json('The replay', replaySchema), ...problems(401, 403, 404) },
  });
  app.openapi(get, async (c) => {
    const { id } = c.req.valid('param');
    const replay = UUID.test(id) ? await replays.find(c.var.principal.userId, id) : undefined;
    if (replay === undefined) throw new GatewayError('not_found', `You have no replay ${id}`);
    return c.json(viewOf(replay), 200);
  });
}

function viewOf({
  id,
  eventName,
  version,
  compareTo,
  createdAt,
  items,
}: Replay): z.infer<typeof replaySchema> {
  const summary = summaryOf(items.map(({ comparison }) => comparison));
  return {
    id,
    event: eventName,
    version,
    compareTo,
    status: summary.pending > 0 ? 'running' : 'done',
    summary,
    items: items.map(({ sourceId, ...item }) => ({ invocationId: sourceId, ...item })),
    createdAt: createdAt.toISOString(),
  };
}
