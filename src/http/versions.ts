import { createRoute, z } from '@hono/zod-openapi';
import { GatewayError } from '../errors.ts';
import { jsonBody } from './body.ts';
import { type App, type AppDeps, secured } from './context.ts';
import { baseUrl, etagOf, notFound, owned, unchangedSince, versionViewOf, viewOf } from './event-view.ts';
import { bearer, ifMatchHeader, json, jsonRequest, problems } from './openapi.ts';
import {
  eventSchema,
  eventVersionPageSchema,
  eventVersionWithCodeSchema,
  pageQuerySchema,
  rollbackSchema,
} from './schemas.ts';

const MAX_BODY_BYTES = 1_024;
const VERSION = /^[1-9]\d{0,8}$/;

/** What was deployed before: versions never change, and the event points to one of them. */
export function registerVersions(app: App, deps: AppDeps): void {
  const { auth, config, events, grade } = deps;
  const read = secured(auth, 'events:read');
  const write = secured(auth, 'events:write');

  const list = createRoute({
    method: 'get',
    path: '/v1/events/{name}/versions',
    operationId: 'listVersions',
    summary: 'The versions of one of your functions, newest first',
    security: bearer,
    middleware: [read] as const,
    request: { params: z.object({ name: z.string() }), query: pageQuerySchema },
    responses: {
      200: json('A page of versions', eventVersionPageSchema),
      ...problems(401, 403, 404, 422),
    },
  });
  app.openapi(list, async (c) => {
    const { limit, cursor } = c.req.valid('query');
    const { userId } = c.var.principal;
    const event = await owned(deps, userId, c.req.valid('param').name);
    const page = { limit, ...(cursor === undefined ? {} : { cursor }) };
    const versions = await events.listVersions(userId, event.name, page);
    if (versions === undefined) throw notFound(event.name);
    const base = baseUrl(config, c.req.url);
    const items = versions.items.map((version) => versionViewOf(version, event, base, grade));
    return c.json({ items, nextCursor: versions.nextCursor }, 200);
  });

  const get = createRoute({
    method: 'get',
    path: '/v1/events/{name}/versions/{version}',
    operationId: 'getVersion',
    summary: 'One version of one of your functions, with its code',
    security: bearer,
    middleware: [read] as const,
    request: { params: z.object({ name: z.string(), version: z.string().openapi({ example: '3' }) }) },
    responses: { 200: json('The version', eventVersionWithCodeSchema), ...problems(401, 403, 404) },
  });
  app.openapi(get, async (c) => {
    const { name, version: text } = c.req.valid('param');
    const event = await owned(deps, c.var.principal.userId, name);
    const version = VERSION.test(text) ? await events.findVersion(event, Number(text)) : undefined;
    if (version === undefined) {
      throw new GatewayError('not_found', `The event ${name} has no version ${text}`);
    }
    const view = versionViewOf(version, event, baseUrl(config, c.req.url), grade);
    return c.json({ ...view, code: version.code }, 200);
  });

  const rollback = createRoute({
    method: 'post',
    path: '/v1/events/{name}/rollback',
    operationId: 'rollBackEvent',
    summary: 'Make an older (or newer) version the one that the function’s URL calls',
    description:
      'No version is made and none is lost; the next deploy is numbered after the newest. Description, auth and enabled belong to the event and stay.',
    security: bearer,
    middleware: [write, jsonBody(MAX_BODY_BYTES)] as const,
    request: {
      params: z.object({ name: z.string() }),
      headers: ifMatchHeader,
      ...jsonRequest(rollbackSchema),
    },
    responses: {
      200: json('The function, as it is now', eventSchema),
      ...problems(400, 401, 403, 404, 412, 413, 415, 422),
    },
  });
  app.openapi(rollback, async (c) => {
    const { name } = c.req.valid('param');
    const { version } = c.req.valid('json');
    const { userId } = c.var.principal;
    const check = unchangedSince(c.req.valid('header')['if-match']);
    await owned(deps, userId, name);
    const event = await events.rollback(userId, name, version, check);
    if (event === undefined) throw notFound(name);
    c.set('event', event);
    return c.json(viewOf(event, baseUrl(config, c.req.url), grade), 200, { ETag: etagOf(event) });
  });
}
