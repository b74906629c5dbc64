import { createRoute, z } from '@hono/zod-openapi';
import { type Invocation, isFinal } from '../core/invocation.ts';
import { GatewayError } from '../errors.ts';
import { type App, type AppDeps, authenticated, secured } from './context.ts';
import { invocationView, isId, noInvocation, sightOf } from './invocation-view.ts';
import { bearer, json, problems } from './openapi.ts';
import { EVENT_NAME, invocationPageSchema, invocationSchema, pageQuerySchema } from './schemas.ts';

/** How often somebody who waits looks again even when nobody told them to, ms. */
const WAIT_POLL_MS = 2_000;
const MAX_WAIT_SECONDS = 60;
const WAIT = /^(\d{1,3})s?$/;

export function registerInvocations(app: App, deps: AppDeps): void {
  const { auth, invocations, events, queue } = deps;
  const read = secured(auth, 'events:read');

  const get = createRoute({
    method: 'get',
    path: '/v1/invocations/{id}',
    operationId: 'getInvocation',
    summary: 'One invocation of one of your functions, or one that you made',
    description:
      'With `events:read` its owner sees all of it. Whoever may call the function sees the state and result of their own calls.',
    security: bearer,
    middleware: [authenticated(auth)] as const,
    request: {
      params: z.object({ id: z.string() }),
      query: z.object({
        wait: z
          .string()
          .regex(WAIT, 'must be a number of seconds, as 30 or 30s')
          .refine(
            (text) => Number.parseInt(text, 10) <= MAX_WAIT_SECONDS,
            `must be at most ${MAX_WAIT_SECONDS}s`,
          )
          .optional()
          .openapi({ description: 'Wait for its end, so many seconds at most', example: '30s' }),
      }),
    },
    responses: { 200: json('The invocation', invocationSchema), ...problems(401, 403, 404, 422) },
  });
  app.openapi(get, async (c) => {
    const { id } = c.req.valid('param');
    const { wait = '0' } = c.req.valid('query');
    let invocation = isId(id) ? await invocations.find(id) : undefined;
    const sight = sightOf(invocation, id, c.var.principal);
    if (wait !== '0') invocation = await ended(deps, id, Number.parseInt(wait, 10) * 1_000, c.req.raw.signal);
    if (invocation === undefined) throw noInvocation(id);
    const result = invocation.status === 'succeeded' ? await queue.result(id) : undefined;
    return c.json(invocationView(invocation, { sight, result }), 200);
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
    return c.json(
      { items: page.items.map((item) => invocationView(item)), nextCursor: page.nextCursor },
      200,
    );
  });
}

/** The invocation when it has ended, or as it is when the time is over or the caller is gone. */
async function ended(
  { invocations, ends }: AppDeps,
  id: string,
  withinMs: number,
  signal: AbortSignal,
): Promise<Invocation | undefined> {
  // Listened for before it is looked at: an end in between is not missed.
  using end = ends.listen(id);
  const deadline = performance.now() + withinMs;
  for (;;) {
    const invocation = await invocations.find(id);
    const leftMs = deadline - performance.now();
    if (invocation === undefined || isFinal(invocation.status) || leftMs <= 0 || signal.aborted)
      return invocation;
    await end.next(Math.min(leftMs, WAIT_POLL_MS), signal);
  }
}
