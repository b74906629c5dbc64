import { createRoute, z } from '@hono/zod-openapi';
import { type App, type AppDeps, secured } from './context.ts';
import { bearer, json, problems } from './openapi.ts';
import { poolSchema } from './schemas.ts';

export function registerPools(app: App, { auth, pools }: AppDeps): void {
  const list = createRoute({
    method: 'get',
    path: '/v1/pools',
    operationId: 'listPools',
    summary: 'The warm pools, as they are now',
    security: bearer,
    middleware: [secured(auth, 'events:read')] as const,
    responses: { 200: json('The pools', z.object({ items: z.array(poolSchema) })), ...problems(401, 403) },
  });
  app.openapi(list, (c) => c.json({ items: pools().map(view) }, 200));
}

function view({ selfTest, ...pool }: ReturnType<AppDeps['pools']>[number]): z.output<typeof poolSchema> {
  const { at, checks } = selfTest;
  return { ...pool, selfTest: { ...selfTest, at: at?.toISOString() ?? null, checks: [...checks] } };
}
