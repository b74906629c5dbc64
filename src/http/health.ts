import { createRoute, z } from '@hono/zod-openapi';
import type { App, AppDeps } from './context.ts';
import { json } from './openapi.ts';

const RETRY_AFTER_SECONDS = '1';

export function registerHealth(app: App, { ready }: AppDeps): void {
  const alive = createRoute({
    method: 'get',
    path: '/healthz',
    operationId: 'isAlive',
    summary: 'Whether the process answers',
    responses: { 200: json('It does', z.object({ status: z.literal('ok') })) },
  });
  app.openapi(alive, (c) => c.json({ status: 'ok' as const }, 200));

  const readiness = createRoute({
    method: 'get',
    path: '/readyz',
    operationId: 'isReady',
    summary: 'Whether calls can be served',
    responses: {
      200: json('They can', z.object({ status: z.literal('ready') })),
      503: json(
        'Not yet, or no longer',
        z.object({ status: z.literal('not_ready'), reasons: z.array(z.string()) }),
      ),
    },
  });
  app.openapi(readiness, async (c) => {
    const { ok, reasons } = await ready();
    if (ok) return c.json({ status: 'ready' as const }, 200);
    return c.json({ status: 'not_ready' as const, reasons }, 503, { 'Retry-After': RETRY_AFTER_SECONDS });
  });
}
