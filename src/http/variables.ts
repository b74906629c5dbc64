import { createRoute, z } from '@hono/zod-openapi';
import { createMiddleware } from 'hono/factory';
import {
  MAX_VALUE_BYTES,
  nameFault,
  type Variable,
  type VariableQuota,
  valueFault,
} from '../core/variables.ts';
import { GatewayError } from '../errors.ts';
import { decode, parseJson, readBody } from './body.ts';
import { type App, type AppDeps, type AppEnv, secured } from './context.ts';
import { bearer, json, problems } from './openapi.ts';
import { pageQuerySchema } from './schemas.ts';

const nameParam = z.object({ name: z.string().openapi({ example: 'counter' }) });
const conditions = z.object({
  'if-match': z.string().optional().openapi({ description: 'The ETag that the variable must still have' }),
  'if-none-match': z.string().optional().openapi({ description: '`*`: only if there is no such variable' }),
});
const summarySchema = z
  .object({
    name: z.string(),
    bytes: z.int().openapi({ description: 'Of the value as JSON' }),
    etag: z.string(),
    updatedAt: z.iso.datetime(),
  })
  .openapi('VariableSummary');
const pageSchema = z
  .object({ items: z.array(summarySchema), nextCursor: z.string().nullable() })
  .openapi('VariablePage');
const valueSchema = z
  .unknown()
  .openapi({ description: 'The value itself', example: { since: '2026-01-02' } });

const etagOf = ({ revision }: Pick<Variable, 'revision'>) => `"${revision}"`;

/** A user's variables, from outside. A body is the value itself, digit by digit: nothing is made of it. */
export function registerVariables(app: App, { auth, config, variables }: AppDeps): void {
  const read = secured(auth, 'variables:read');
  const write = secured(auth, 'variables:write');
  const quota: VariableQuota = { maxCount: config.MAX_VARIABLES, maxBytes: config.MAX_VARIABLES_BYTES };

  const list = createRoute({
    method: 'get',
    path: '/v1/variables',
    operationId: 'listVariables',
    summary: 'Your variables, sorted by name, without their values',
    security: bearer,
    middleware: [read] as const,
    request: { query: pageQuerySchema.extend({ cursor: z.string().max(128).optional() }) },
    responses: { 200: json('A page of variables', pageSchema), ...problems(401, 403, 422) },
  });
  app.openapi(list, async (c) => {
    const { limit, cursor } = c.req.valid('query');
    const page = await variables.list(c.var.principal.userId, { limit, ...(cursor && { cursor }) });
    const items = page.items.map((item) => ({
      name: item.name,
      bytes: item.bytes,
      etag: etagOf(item),
      updatedAt: item.updatedAt.toISOString(),
    }));
    return c.json({ items, nextCursor: page.nextCursor }, 200);
  });

  const get = createRoute({
    method: 'get',
    path: '/v1/variables/{name}',
    operationId: 'getVariable',
    summary: 'The value of one of your variables',
    security: bearer,
    middleware: [read] as const,
    request: { params: nameParam },
    responses: { 200: json('The value', valueSchema), ...problems(401, 403, 404) },
  });
  app.openapi(get, async (c) => {
    const { name } = c.req.valid('param');
    const found =
      nameFault(name) === undefined ? await variables.get(c.var.principal.userId, name) : undefined;
    if (found === undefined) throw notFound(name);
    // Not `c.json`, which would read the value, and write other digits.
    return c.body(found.json, 200, {
      'Content-Type': 'application/json',
      ETag: etagOf(found),
      'Last-Modified': found.updatedAt.toUTCString(),
    }) as never;
  });

  const put = createRoute({
    method: 'put',
    path: '/v1/variables/{name}',
    operationId: 'putVariable',
    summary: 'Set one of your variables to the JSON of the body',
    security: bearer,
    middleware: [write, valueBody] as const,
    request: {
      params: nameParam,
      headers: conditions,
      body: { required: true, content: { 'application/json': { schema: valueSchema } } },
    },
    responses: {
      201: { description: 'Made' },
      204: { description: 'Set' },
      ...problems(400, 401, 403, 409, 412, 413, 415, 422),
    },
  });
  app.openapi(put, async (c) => {
    const { name } = c.req.valid('param');
    demandName(name);
    const value = await c.req.text();
    const demand = demanded(name, c.req.valid('header'));
    const { before, after } = await variables.change(
      c.var.principal.userId,
      name,
      (found) => {
        demand(found);
        return value;
      },
      quota,
    );
    const headers = { ETag: etagOf(after!) };
    if (before !== undefined) return c.body(null, 204, headers);
    return c.body(null, 201, { ...headers, Location: `/v1/variables/${name}` });
  });

  const remove = createRoute({
    method: 'delete',
    path: '/v1/variables/{name}',
    operationId: 'removeVariable',
    summary: 'Remove one of your variables',
    security: bearer,
    middleware: [write] as const,
    request: { params: nameParam, headers: conditions.pick({ 'if-match': true }) },
    responses: { 204: { description: 'Removed' }, ...problems(401, 403, 404, 412) },
  });
  app.openapi(remove, async (c) => {
    const { name } = c.req.valid('param');
    if (nameFault(name) !== undefined) throw notFound(name);
    const demand = demanded(name, c.req.valid('header'));
    await variables.change(
      c.var.principal.userId,
      name,
      (found) => {
        if (found === undefined) throw notFound(name);
        demand(found);
        return undefined;
      },
      quota,
    );
    return c.body(null, 204);
  });
}

/** Reads the body as the text that it is, and lets only JSON of the right size through. */
const valueBody = createMiddleware<AppEnv>(async (c, next) => {
  const [type = ''] = (c.req.header('content-type') ?? '').toLowerCase().split(';');
  if (type.trim() !== 'application/json') {
    throw new GatewayError('unsupported_media_type', 'Send the body as application/json');
  }
  const text = decode(await readBody(c.req.raw, MAX_VALUE_BYTES));
  parseJson(text);
  const fault = valueFault(text);
  if (fault !== undefined) throw new GatewayError('validation_failed', fault.message);
  const { url, method, headers } = c.req.raw;
  c.req.raw = new Request(url, { method, headers, body: text });
  await next();
});

function demandName(name: string): void {
  const message = nameFault(name);
  if (message === undefined) return;
  throw new GatewayError('validation_failed', message, { faults: [{ path: 'name', message }] });
}

const notFound = (name: string) => new GatewayError('not_found', `You have no variable named ${name}`);

/** `If-Match` and `If-None-Match: *`: RFC 9110, sections 13.1.1 and 13.1.2. */
function demanded(
  name: string,
  given: { 'if-match'?: string | undefined; 'if-none-match'?: string | undefined },
) {
  const tags = given['if-match']?.split(',').map((tag) => tag.trim());
  const mustBeNew = given['if-none-match']?.trim() === '*';
  return (found: Variable | undefined): void => {
    const isMeant =
      tags === undefined || (found !== undefined && (tags.includes('*') || tags.includes(etagOf(found))));
    if (isMeant && !(mustBeNew && found !== undefined)) return;
    const now = found === undefined ? 'it is not there' : `it is ${etagOf(found)} now`;
    throw new GatewayError(
      'precondition_failed',
      `The variable ${name} is not as you saw it: ${now}. Read it again and decide anew`,
    );
  };
}
