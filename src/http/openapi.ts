import { type RouteConfig, z } from '@hono/zod-openapi';
import type { App } from './context.ts';
import { problemSchema } from './problem.ts';

/** A JSON answer, as the description of a route has it. */
export function json<T extends z.ZodType>(description: string, schema: T) {
  return { description, content: { 'application/json': { schema } } };
}

/** A JSON body that must be there; other types are documented as well as `application/json`. */
export function jsonRequest<T extends z.ZodType>(schema: T, alsoType?: string) {
  const content = { 'application/json': { schema } };
  return {
    body: {
      required: true,
      content: alsoType === undefined ? content : { ...content, [alsoType]: { schema } },
    },
  };
}

export const ifMatchHeader = z.object({
  'if-match': z
    .string()
    .optional()
    .openapi({ description: 'The ETag that the event must still have', example: '"3-mk3x7f2a"' }),
});

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
  const page = (path: string, operationId: string, summary: string, type: string) =>
    app.openAPIRegistry.registerPath({
      method: 'get',
      path,
      operationId,
      summary,
      responses: { 200: { description: summary, content: { [type]: { schema: z.unknown() } } } },
    });
  page('/openapi.json', 'getDescription', 'This document', 'application/json');
  page('/docs', 'getDocumentation', 'This document, to read and to try out in a browser', 'text/html');
  app.doc31('/openapi.json', {
    openapi: '3.1.0',
    info: {
      title: 'Cronium gateway',
      version: '1',
      description: 'Functions by URL, each call in a sandbox of its own.',
    },
  });
}
