import type { RouteConfig } from '@hono/zod-openapi';
import type { z } from 'zod';
import type { App } from './context.ts';
import { problemSchema } from './problem.ts';

/** A JSON answer, as the description of a route has it. */
export function json<T extends z.ZodType>(description: string, schema: T) {
  return { description, content: { 'application/json': { schema } } };
}

/** The error answers of a route, by status. */
export function problems<const S extends readonly number[]>(...statuses: S) {
  const entries = statuses.map((status) => [status, problemAnswer] as const);
  return Object.fromEntries(entries) as { [status in S[number]]: typeof problemAnswer };
}

const problemAnswer = {
  description: 'A problem',
  content: { 'application/problem+json': { schema: problemSchema } },
};

export const bearer: NonNullable<RouteConfig['security']> = [{ bearer: [] }];

/** Serves the description that is made from the schemas which validate. */
export function registerOpenApi(app: App): void {
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
  });
  app.doc31('/openapi.json', {
    openapi: '3.1.0',
    info: {
      title: 'Cronium gateway',
      version: '1',
      description: 'Functions by URL, each call in a sandbox of its own.',
    },
  });
}
