import { createHash, timingSafeEqual } from 'node:crypto';
import { z } from '@hono/zod-openapi';
import { GatewayError } from '../errors.ts';
import type { App, MetricsSource } from './context.ts';
import { problems } from './openapi.ts';

/** `GET /metrics`, as Prometheus reads it. */
export function registerMetrics(app: App, { render, token }: MetricsSource): void {
  app.openAPIRegistry.registerPath({
    method: 'get',
    path: '/metrics',
    operationId: 'readMetrics',
    summary: 'Numbers for Prometheus; needs METRICS_TOKEN as bearer token where that is set',
    responses: {
      200: { description: 'The numbers', content: { 'text/plain': { schema: z.string() } } },
      ...problems(401),
    },
  });
  app.get('/metrics', async (c) => {
    if (token !== undefined) demand(token, c.req.header('authorization'));
    const { contentType, body } = await render();
    return c.body(body, 200, { 'content-type': contentType, 'cache-control': 'no-store' });
  });
}

function demand(token: string, authorization: string | undefined): void {
  const [, given] = /^bearer +(\S+)$/i.exec(authorization ?? '') ?? [];
  if (given === undefined) throw new GatewayError('unauthorized', 'The metrics need a bearer token');
  // Of equal length whatever was sent, as the comparison demands.
  if (!timingSafeEqual(digest(given), digest(token))) {
    throw new GatewayError('invalid_token', 'This is not the token of the metrics');
  }
}

const digest = (text: string) => createHash('sha256').update(text).digest();
