import { createRoute, z } from '@hono/zod-openapi';
import type { Invocation } from '../core/store.ts';
import { GatewayError } from '../errors.ts';
import { type App, type AppDeps, secured } from './context.ts';
import { bearer, json, problems } from './openapi.ts';
import { EVENT_NAME, invocationPageSchema, invocationSchema, pageQuerySchema } from './schemas.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function registerInvocations(app: App, { auth, invocations, events }: AppDeps): void {
  const read = secured(auth, 'events:read');

  const get = createRoute({
    method: 'get',
    path: '/v1/invocations/{id}',
    operationId: 'getInvocation',
    summary: 'One invocation of one of your functions',
    security: bearer,
    middleware: [read] as const,
    request: { params: z.object({ id: z.string() }) },
    responses: { 200: json('The invocation', invocationSchema), ...problems(401, 403, 404) },
  });
  app.openapi(get, async (c) => {
    const { id } = c.req.valid('param');
    const invocation = UUID.test(id) ? await invocations.find(id) : undefined;
    if (invocation?.ownerId !== c.var.principal.userId) {
      throw new GatewayError('not_found', `You have no invocation ${id}`);
    }
    return c.json(view(invocation), 200);
  });

  const list = createRoute({
    method: 'get',
    path: '/v1/events/{name}/invocations',
    operationId: 'listInvocations',
    summary: 'Invocations of one of your functions, newest first',
    security: bearer,
    middleware: [read] as const,
    request: { params: z.object({ name: z.string() }), query: pageQuerySchema },
    responses: { 200: json('A page of invocations', invocationPageSchema), ...problems(401, 403, 404, 422) },
  });
  app.openapi(list, async (c) => {
    const { name } = c.req.valid('param');
    const { limit, cursor } = c.req.valid('query');
    const { userId } = c.var.principal;
    const notFound = new GatewayError('not_found', `You have no event named ${name}`);
    if (!EVENT_NAME.test(name)) throw notFound;
    const page = await invocations.listByEvent(userId, name, {
      limit,
      ...(cursor === undefined ? {} : { cursor }),
    });
    // What a removed event did can still be read; a name that its caller never had is not found.
    if (page.items.length === 0 && (await events.find(name))?.ownerId !== userId) {
      throw notFound;
    }
    return c.json({ items: page.items.map(view), nextCursor: page.nextCursor }, 200);
  });
}

function view(invocation: Invocation): z.infer<typeof invocationSchema> {
  const { id, status, start, isolation, phases, statusCode, exit, error, logs, logsTruncated } = invocation;
  return {
    id,
    event: invocation.eventName,
    version: invocation.eventVersion,
    status,
    start,
    isolation,
    phases,
    statusCode,
    exit,
    error,
    logs,
    logsTruncated,
    createdAt: invocation.createdAt.toISOString(),
    endedAt: invocation.endedAt?.toISOString() ?? null,
  };
}
