import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { tierOf } from '../core/tiers.ts';
import { jsonBody } from './body.ts';
import { type App, type AppDeps, type AppEnv, secured } from './context.ts';
import { draftOf, keepsName, keptSecrets, patchedDraft } from './event-draft.ts';
import { baseUrl, etagOf, notFound, owned, unchangedSince, viewOf } from './event-view.ts';
import { bearer, ifMatchHeader, json, jsonRequest, problems } from './openapi.ts';
import {
  eventListSchema,
  eventPatchSchema,
  eventReplacementSchema,
  eventSchema,
  eventWithCodeSchema,
  newEventSchema,
} from './schemas.ts';

/** Escaped in the most wasteful way, the largest code is six times as long; variables come on top. */
const MAX_BODY_BYTES = 8 * 1_048_576;

const params = z.object({ name: z.string() });
const MERGE_PATCH = 'application/merge-patch+json';

export function registerEvents(app: App, deps: AppDeps): void {
  const { auth, config, events, grade } = deps;
  const read = secured(auth, 'events:read');
  const write = secured(auth, 'events:write');
  const body = jsonBody(MAX_BODY_BYTES);
  const tierFor = (c: Context<AppEnv>) => tierOf(config.TIERS, c.var.principal.tier);

  const create = createRoute({
    method: 'post',
    path: '/v1/events',
    operationId: 'createEvent',
    summary: 'Deploy a function',
    security: bearer,
    middleware: [write, body] as const,
    request: { ...jsonRequest(newEventSchema) },
    responses: { 201: json('Deployed', eventSchema), ...problems(400, 401, 403, 409, 413, 415, 422) },
  });
  app.openapi(create, async (c) => {
    const request = c.req.valid('json');
    const draft = draftOf({ ...request, secrets: request.secrets ?? {} }, request.name, config, tierFor(c));
    const event = await events.create(c.var.principal.userId, draft);
    c.set('event', event);
    return c.json(viewOf(event, baseUrl(config, c.req.url), grade), 201, {
      Location: `/v1/events/${event.name}`,
      ETag: etagOf(event),
    });
  });

  const list = createRoute({
    method: 'get',
    path: '/v1/events',
    operationId: 'listEvents',
    summary: 'Your functions, sorted by name',
    security: bearer,
    middleware: [read] as const,
    responses: { 200: json('Your functions', eventListSchema), ...problems(401, 403) },
  });
  app.openapi(list, async (c) => {
    const base = baseUrl(config, c.req.url);
    const items = (await events.list(c.var.principal.userId)).map((event) => viewOf(event, base, grade));
    return c.json({ items }, 200);
  });

  const get = createRoute({
    method: 'get',
    path: '/v1/events/{name}',
    operationId: 'getEvent',
    summary: 'One of your functions, with its code',
    security: bearer,
    middleware: [read] as const,
    request: { params },
    responses: { 200: json('The function', eventWithCodeSchema), ...problems(401, 403, 404) },
  });
  app.openapi(get, async (c) => {
    const event = await owned(deps, c.var.principal.userId, c.req.valid('param').name);
    return c.json({ ...viewOf(event, baseUrl(config, c.req.url), grade), code: event.current.code }, 200, {
      ETag: etagOf(event),
    });
  });

  const replace = createRoute({
    method: 'put',
    path: '/v1/events/{name}',
    operationId: 'replaceEvent',
    summary: 'Replace a function; what changes how it runs makes a new version',
    security: bearer,
    middleware: [write, body] as const,
    request: { params, headers: ifMatchHeader, ...jsonRequest(eventReplacementSchema) },
    responses: {
      200: json('Replaced', eventSchema),
      ...problems(400, 401, 403, 404, 412, 413, 415, 422),
    },
  });
  app.openapi(replace, async (c) => {
    const { name } = c.req.valid('param');
    const request = c.req.valid('json');
    const { userId } = c.var.principal;
    const check = unchangedSince(c.req.valid('header')['if-match']);
    const tier = tierFor(c);
    const before = await owned(deps, userId, name);
    keepsName(request, name);
    const event = await events.replace(userId, before.name, (now) => {
      check(now);
      return draftOf(
        { ...request, secrets: request.secrets ?? keptSecrets(now, request.env) },
        name,
        config,
        tier,
        now,
      );
    });
    if (event === undefined) throw notFound(name);
    c.set('event', event);
    return c.json(viewOf(event, baseUrl(config, c.req.url), grade), 200, { ETag: etagOf(event) });
  });

  const change = createRoute({
    method: 'patch',
    path: '/v1/events/{name}',
    operationId: 'patchEvent',
    summary: 'Change parts of a function; what changes how it runs makes a new version',
    security: bearer,
    middleware: [write, jsonBody(MAX_BODY_BYTES, MERGE_PATCH)] as const,
    request: { params, headers: ifMatchHeader, ...jsonRequest(eventPatchSchema, MERGE_PATCH) },
    responses: {
      200: json('Changed', eventSchema),
      ...problems(400, 401, 403, 404, 412, 413, 415, 422),
    },
  });
  app.openapi(change, async (c) => {
    const { name } = c.req.valid('param');
    const patch = c.req.valid('json');
    const { userId } = c.var.principal;
    const check = unchangedSince(c.req.valid('header')['if-match']);
    const tier = tierFor(c);
    const before = await owned(deps, userId, name);
    keepsName(patch, name);
    const event = await events.replace(userId, before.name, (now) => {
      check(now);
      return patchedDraft(now, patch, config, tier);
    });
    if (event === undefined) throw notFound(name);
    c.set('event', event);
    return c.json(viewOf(event, baseUrl(config, c.req.url), grade), 200, { ETag: etagOf(event) });
  });

  const remove = createRoute({
    method: 'delete',
    path: '/v1/events/{name}',
    operationId: 'removeEvent',
    summary: 'Remove a function; its invocations stay',
    security: bearer,
    middleware: [write] as const,
    request: { params, headers: ifMatchHeader },
    responses: { 204: { description: 'Removed' }, ...problems(401, 403, 404, 412) },
  });
  app.openapi(remove, async (c) => {
    const { name } = c.req.valid('param');
    const check = unchangedSince(c.req.valid('header')['if-match']);
    if (!(await events.remove(c.var.principal.userId, name, check))) throw notFound(name);
    return c.body(null, 204);
  });
}
