import { createRoute, z } from '@hono/zod-openapi';
import type { Event, EventDraft } from '../core/event.ts';
import { GatewayError } from '../errors.ts';
import { jsonBody } from './body.ts';
import { type App, type AppConfig, type AppDeps, secured } from './context.ts';
import { bearer, json, problems } from './openapi.ts';
import {
  EVENT_NAME,
  type EventBody,
  eventListSchema,
  eventReplacementSchema,
  eventSchema,
  eventWithCodeSchema,
  newEventSchema,
} from './schemas.ts';

/** Escaped in the most wasteful way, the largest code is six times as long; variables come on top. */
const MAX_BODY_BYTES = 8 * 1_048_576;

const params = z.object({ name: z.string() });
const jsonRequest = <T extends z.ZodType>(schema: T) => ({
  body: { required: true, content: { 'application/json': { schema } } },
});

export function registerEvents(app: App, deps: AppDeps): void {
  const { auth, config, events } = deps;
  const read = secured(auth, 'events:read');
  const write = secured(auth, 'events:write');
  const body = jsonBody(MAX_BODY_BYTES);

  const create = createRoute({
    method: 'post',
    path: '/v1/events',
    summary: 'Deploy a function',
    security: bearer,
    middleware: [write, body] as const,
    request: jsonRequest(newEventSchema),
    responses: { 201: json('Deployed', eventSchema), ...problems(400, 401, 403, 409, 413, 415, 422) },
  });
  app.openapi(create, async (c) => {
    const request = c.req.valid('json');
    const draft = draftOf({ ...request, secrets: request.secrets ?? {} }, request.name, config);
    const event = await events.create(c.var.principal.userId, draft);
    return c.json(view(event, baseUrl(config, c.req.url)), 201, { Location: `/v1/events/${event.name}` });
  });

  const list = createRoute({
    method: 'get',
    path: '/v1/events',
    summary: 'Your functions, sorted by name',
    security: bearer,
    middleware: [read] as const,
    responses: { 200: json('Your functions', eventListSchema), ...problems(401, 403) },
  });
  app.openapi(list, async (c) => {
    const base = baseUrl(config, c.req.url);
    const items = (await events.list(c.var.principal.userId)).map((event) => view(event, base));
    return c.json({ items }, 200);
  });

  const get = createRoute({
    method: 'get',
    path: '/v1/events/{name}',
    summary: 'One of your functions, with its code',
    security: bearer,
    middleware: [read] as const,
    request: { params },
    responses: { 200: json('The function', eventWithCodeSchema), ...problems(401, 403, 404) },
  });
  app.openapi(get, async (c) => {
    const event = await owned(deps, c.var.principal.userId, c.req.valid('param').name);
    return c.json({ ...view(event, baseUrl(config, c.req.url)), code: event.current.code }, 200);
  });

  const replace = createRoute({
    method: 'put',
    path: '/v1/events/{name}',
    summary: 'Replace a function; what changes how it runs makes a new version',
    security: bearer,
    middleware: [write, body] as const,
    request: { params, ...jsonRequest(eventReplacementSchema) },
    responses: { 200: json('Replaced', eventSchema), ...problems(400, 401, 403, 404, 413, 415, 422) },
  });
  app.openapi(replace, async (c) => {
    const { name } = c.req.valid('param');
    const request = c.req.valid('json');
    const { userId } = c.var.principal;
    const before = await owned(deps, userId, name);
    if (request.name !== undefined && request.name !== name) {
      throw new GatewayError(
        'validation_failed',
        'An event cannot be renamed: deploy it under the other name',
        {
          faults: [{ path: 'name', message: `must be ${name}, as in the URL, or left out` }],
        },
      );
    }
    const secrets = request.secrets ?? keptSecrets(before, request.env);
    const event = await events.replace(userId, name, draftOf({ ...request, secrets }, name, config));
    if (event === undefined) throw notFound(name);
    return c.json(view(event, baseUrl(config, c.req.url)), 200);
  });

  const remove = createRoute({
    method: 'delete',
    path: '/v1/events/{name}',
    summary: 'Remove a function; its invocations stay',
    security: bearer,
    middleware: [write] as const,
    request: { params },
    responses: { 204: { description: 'Removed' }, ...problems(401, 403, 404) },
  });
  app.openapi(remove, async (c) => {
    const { name } = c.req.valid('param');
    if (!(await events.remove(c.var.principal.userId, name))) throw notFound(name);
    return c.body(null, 204);
  });
}

/** Of another owner's event nobody learns that it is there. */
async function owned({ events }: AppDeps, userId: string, name: string): Promise<Event> {
  const event = EVENT_NAME.test(name) ? await events.find(name) : undefined;
  if (event?.ownerId !== userId) throw notFound(name);
  return event;
}

const notFound = (name: string) => new GatewayError('not_found', `You have no event named ${name}`);

/** A variable that moves from the secrets to the environment is no longer a secret. */
function keptSecrets(before: Event, env: Record<string, string>): Record<string, string> {
  const kept = Object.entries(before.current.secrets).filter(([name]) => !Object.hasOwn(env, name));
  return Object.fromEntries(kept);
}

function draftOf(
  body: EventBody & { secrets: Record<string, string> },
  name: string,
  config: AppConfig,
): EventDraft {
  const { runtime, code, description, auth, enabled, env, secrets } = body;
  const limits = {
    timeoutMs: body.timeoutMs ?? config.DEFAULT_TIMEOUT_MS,
    memoryMb: body.memoryMb ?? config.DEFAULT_MEMORY_MB,
    cpus: body.cpus ?? config.DEFAULT_CPUS,
  };
  return { name, runtime, code, description, auth, enabled, limits, env, secrets };
}

function baseUrl(config: AppConfig, requestUrl: string): string {
  return (config.PUBLIC_URL ?? new URL(requestUrl).origin).replace(/\/+$/, '');
}

function view(event: Event, base: string): z.infer<typeof eventSchema> {
  const { current } = event;
  return {
    id: event.id,
    name: event.name,
    url: `${base}/e/${event.name}`,
    version: current.version,
    runtime: current.runtime,
    description: event.description,
    auth: event.auth,
    ...current.limits,
    env: { ...current.env },
    secretNames: Object.keys(current.secrets).sort(),
    enabled: event.enabled,
    codeSha256: current.codeSha256,
    createdAt: event.createdAt.toISOString(),
    updatedAt: event.updatedAt.toISOString(),
  };
}
