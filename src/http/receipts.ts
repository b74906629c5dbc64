import { createHash } from 'node:crypto';
import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { ReceiptRequest } from '../core/invoke.ts';
import { GatewayError } from '../errors.ts';
import type { App, AppDeps, AppEnv } from './context.ts';
import { bearer, json, problems } from './openapi.ts';
import { demandScope } from './scopes.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** A key that leaks is taken out of use within this time by whoever fetches the set anew, seconds. */
const KEY_SET_MAX_AGE_SECONDS = 300;

/**
 * What a caller wants vouched for, who asks for it by `X-Cronium-Receipt: true`: only who asks pays for it.
 * @throws GatewayError `bad_request`
 */
export function receiptWanted(c: Context<AppEnv>, body: Uint8Array): { receipt?: ReceiptRequest } {
  const asked = c.req.header('x-cronium-receipt');
  if (asked === undefined || asked === 'false') return {};
  if (asked !== 'true') throw new GatewayError('bad_request', 'X-Cronium-Receipt is true, or it is left out');
  const { pathname, search } = new URL(c.req.raw.url);
  const hash = createHash('sha256').update(`${c.req.raw.method} ${pathname}${search}\n`).update(body);
  return { receipt: { inputSha256: hash.digest('hex') } };
}

/** The receipts of invocations whose callers asked for one, and the keys that they are verified with. */
export function registerReceipts(app: App, { auth, invocations, keySet }: AppDeps): void {
  if (keySet === undefined) return;
  const keys = createRoute({
    method: 'get',
    path: '/.well-known/jwks.json',
    operationId: 'getKeySet',
    summary: 'The public key of what this gateway signs: receipts, and its audit log',
    responses: {
      200: json(
        'A JWK Set (RFC 7517)',
        z.object({ keys: z.array(z.object({ kty: z.string(), kid: z.string() }).catchall(z.string())) }),
      ),
    },
  });
  app.openapi(keys, (c) =>
    c.json(keySet, 200, {
      'cache-control': `public, max-age=${KEY_SET_MAX_AGE_SECONDS}`,
    }),
  );

  const receipt = createRoute({
    method: 'get',
    path: '/v1/invocations/{id}/receipt',
    operationId: 'getReceipt',
    summary: 'The signed receipt of an invocation that you own or have made',
    description:
      'There is one when the call asked for it with `X-Cronium-Receipt: true` and has ended; of one that nobody waited for it is of the last attempt. Who made the call needs no scope.',
    security: bearer,
    request: { params: z.object({ id: z.string() }) },
    responses: {
      200: {
        description: 'A compact JWS (RFC 7515)',
        content: { 'application/jose': { schema: z.string() } },
      },
      ...problems(401, 403, 404),
    },
  });
  app.openapi(receipt, async (c) => {
    const principal = await auth.authenticate(c.req.header('authorization'));
    c.set('principal', principal);
    const { id } = c.req.valid('param');
    const invocation = UUID.test(id) ? await invocations.find(id) : undefined;
    const { userId } = principal;
    if (invocation === undefined || (invocation.ownerId !== userId && invocation.callerId !== userId)) {
      throw new GatewayError('not_found', `You have no invocation ${id}`);
    }
    if (invocation.callerId !== userId) demandScope(principal, 'events:read');
    if (invocation.receipt === undefined) {
      const why =
        invocation.endedAt === null ? 'it has not ended' : 'its call did not ask for one, or it never ran';
      throw new GatewayError('not_found', `The invocation ${id} has no receipt: ${why}`);
    }
    return c.body(invocation.receipt, 200, { 'content-type': 'application/jose' });
  });
}
