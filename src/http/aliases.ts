import { createRoute, z } from '@hono/zod-openapi';
import { ALIAS_NAME, type Alias, type AliasCheck } from '../core/alias.ts';
import { GatewayError } from '../errors.ts';
import { aliasListSchema, aliasSchema, newAliasSchema } from './alias-schemas.ts';
import { jsonBody } from './body.ts';
import { type App, type AppDeps, secured } from './context.ts';
import { baseUrl, notFound, owned } from './event-view.ts';
import { bearer, ifMatchHeader, json, jsonRequest, problems } from './openapi.ts';

const MAX_BODY_BYTES = 1_024;

const params = z.object({ name: z.string(), alias: z.string().openapi({ example: 'live' }) });

/** Names for versions, which move without a deploy. */
export function registerAliases(app: App, deps: AppDeps): void {
  const { auth, config, aliases } = deps;
  const read = secured(auth, 'events:read');
  const write = secured(auth, 'events:write');

  const list = createRoute({
    method: 'get',
    path: '/v1/events/{name}/aliases',
    operationId: 'listAliases',
    summary: 'The aliases of one of your functions, sorted by name',
    security: bearer,
    middleware: [read] as const,
    request: { params: params.pick({ name: true }) },
    responses: { 200: json('The aliases', aliasListSchema), ...problems(401, 403, 404) },
  });
  app.openapi(list, async (c) => {
    const event = await owned(deps, c.var.principal.userId, c.req.valid('param').name);
    const base = baseUrl(config, c.req.url);
    const items = (await aliases.list(event)).map((alias) => viewOf(alias, event.name, base));
    return c.json({ items }, 200);
  });

  const get = createRoute({
    method: 'get',
    path: '/v1/events/{name}/aliases/{alias}',
    operationId: 'getAlias',
    summary: 'One alias of one of your functions',
    security: bearer,
    middleware: [read] as const,
    request: { params },
    responses: { 200: json('The alias', aliasSchema), ...problems(401, 403, 404) },
  });
  app.openapi(get, async (c) => {
    const { name, alias } = c.req.valid('param');
    const event = await owned(deps, c.var.principal.userId, name);
    const found = await aliases.find(event, alias);
    if (found === undefined) throw noAlias(name, alias);
    return c.json(viewOf(found, name, baseUrl(config, c.req.url)), 200, { ETag: etagOf(found) });
  });

  const put = createRoute({
    method: 'put',
    path: '/v1/events/{name}/aliases/{alias}',
    operationId: 'putAlias',
    summary: 'Point an alias to a version, or to two with a share of the calls for the second',
    description: '`/e/{name}:{alias}` calls the alias. It moves at once, on every gateway within a second.',
    security: bearer,
    middleware: [write, jsonBody(MAX_BODY_BYTES)] as const,
    request: { params, headers: ifMatchHeader, ...jsonRequest(newAliasSchema) },
    responses: {
      200: json('Moved', aliasSchema),
      201: json('Made', aliasSchema),
      ...problems(400, 401, 403, 404, 412, 413, 415, 422),
    },
  });
  app.openapi(put, async (c) => {
    const { name, alias } = c.req.valid('param');
    const { version, weights } = c.req.valid('json');
    if (!ALIAS_NAME.test(alias)) {
      throw new GatewayError('validation_failed', 'This cannot be the name of an alias', {
        faults: [{ path: 'alias', message: `must match ${ALIAS_NAME.source}` }],
      });
    }
    const { userId } = c.var.principal;
    const [other] = Object.entries(weights);
    const split = other === undefined ? null : { version: Number(other[0]), weight: other[1] };
    const event = await owned(deps, userId, name);
    c.set('event', event);
    const check = unchangedSince(c.req.valid('header')['if-match'], alias);
    const done = await aliases.put(userId, name, alias, { version, split }, check);
    if (done === undefined) throw notFound(name);
    const view = viewOf(done.alias, name, baseUrl(config, c.req.url));
    const headers = { ETag: etagOf(done.alias) };
    return done.created ? c.json(view, 201, headers) : c.json(view, 200, headers);
  });

  const remove = createRoute({
    method: 'delete',
    path: '/v1/events/{name}/aliases/{alias}',
    operationId: 'removeAlias',
    summary: 'Remove an alias; its versions stay',
    security: bearer,
    middleware: [write] as const,
    request: { params, headers: ifMatchHeader },
    responses: { 204: { description: 'Removed' }, ...problems(401, 403, 404, 412) },
  });
  app.openapi(remove, async (c) => {
    const { name, alias } = c.req.valid('param');
    const { userId } = c.var.principal;
    c.set('event', await owned(deps, userId, name));
    const check = unchangedSince(c.req.valid('header')['if-match'], alias);
    if (!(await aliases.remove(userId, name, alias, check))) throw noAlias(name, alias);
    return c.body(null, 204);
  });
}

const noAlias = (name: string, alias: string) =>
  new GatewayError('not_found', `The event ${name} has no alias ${alias}`);

/** Tells one state of an alias from all others: each change has a time of its own. */
const etagOf = ({ version, updatedAt }: Alias) => `"${version}-${updatedAt.getTime().toString(36)}"`;

/** Refuses a change of an alias that is not as the caller saw it: `If-Match`, RFC 9110, section 13.1.1. */
function unchangedSince(ifMatch: string | undefined, name: string): AliasCheck {
  return (before) => {
    if (ifMatch === undefined) return;
    const tags = ifMatch.split(',').map((tag) => tag.trim());
    if (before !== undefined && (tags.includes('*') || tags.includes(etagOf(before)))) return;
    const now = before === undefined ? 'it is not there' : `it is ${etagOf(before)} now`;
    const message = `The alias ${name} has changed: ${now}. Read it again and decide anew`;
    throw new GatewayError('precondition_failed', message);
  };
}

function viewOf(alias: Alias, event: string, base: string): z.infer<typeof aliasSchema> {
  const { name, version, split } = alias;
  return {
    name,
    event,
    url: `${base}/e/${event}:${name}`,
    version,
    weights: split === null ? {} : { [split.version]: split.weight },
    createdAt: alias.createdAt.toISOString(),
    updatedAt: alias.updatedAt.toISOString(),
  };
}
