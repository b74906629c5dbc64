import type { z } from '@hono/zod-openapi';
import type { EventAuth } from '../core/event.ts';
import type { WebhookAuth } from '../core/webhook.ts';
import { GatewayError } from '../errors.ts';
import type { AuthBody, AuthPatch, authViewSchema } from './webhook-schemas.ts';

type WebhookBody = Exclude<AuthBody, string>;

/**
 * Who may call, as a deploy says it. A webhook whose secrets are left out keeps those it has; and left out as a whole it
 * stays, because its secrets cannot be read back to be given again.
 * @throws GatewayError `validation_failed` when there is no secret to keep
 */
export function authOf(body: AuthBody | undefined, before?: EventAuth): EventAuth {
  const webhook = typeof before === 'object' ? before : undefined;
  if (body === undefined) return webhook ?? 'jwt';
  if (typeof body === 'string') return body;
  const { type, toleranceSeconds, dedupSeconds, respond } = body;
  const common = { type, secrets: secretsOf(body, webhook), toleranceSeconds, dedupSeconds, respond };
  if (body.scheme !== 'hmac') return { ...common, scheme: body.scheme };
  const { scheme, algorithm, encoding, prefix } = body;
  const idHeader = body.idHeader?.toLowerCase() ?? null;
  const timestampHeader = body.timestampHeader?.toLowerCase() ?? null;
  const signedContent = body.signedContent ?? (timestampHeader === null ? '{body}' : '{timestamp}.{body}');
  const header = body.header.toLowerCase();
  return { ...common, scheme, header, algorithm, encoding, prefix, signedContent, idHeader, timestampHeader };
}

/** A secret is for one way of signing: another one needs another. */
function secretsOf(body: WebhookBody, before: WebhookAuth | undefined): readonly string[] {
  if (body.secret !== undefined) return [body.secret];
  if (body.secrets !== undefined) return body.secrets;
  if (before?.scheme === body.scheme) return before.secrets;
  throw new GatewayError('validation_failed', 'The request is not valid: see auth.secret', {
    faults: [
      { path: 'auth.secret', message: `is needed: the secret that the ${body.scheme} sender signs with` },
    ],
  });
}

/** JSON Merge Patch (RFC 7396) of who may call, to be validated as a deploy's: it has no secrets but new ones. */
export function patchedAuth(before: EventAuth, patch: AuthPatch | null | undefined): unknown {
  if (patch === null) return 'jwt';
  if (typeof patch === 'string') return patch;
  const merged = new Map(Object.entries(typeof before === 'object' ? settingsOf(before) : {}));
  if (patch === undefined) return typeof before === 'object' ? Object.fromEntries(merged) : before;
  if (typeof patch.scheme === 'string' && patch.scheme !== merged.get('scheme')) {
    // What is set for one way of signing has no meaning in another.
    for (const name of HMAC_SETTINGS) merged.delete(name);
  }
  if (Object.hasOwn(patch, 'timestampHeader') && !Object.hasOwn(patch, 'signedContent'))
    merged.delete('signedContent');
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) merged.delete(name);
    else merged.set(name, value);
  }
  return Object.fromEntries(merged);
}

const HMAC_SETTINGS = [
  'header',
  'algorithm',
  'encoding',
  'prefix',
  'signedContent',
  'idHeader',
  'timestampHeader',
];

function settingsOf({ secrets: _secrets, ...settings }: WebhookAuth): object {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null));
}

export function authViewOf(auth: EventAuth): z.infer<typeof authViewSchema> {
  if (typeof auth === 'string') return auth;
  const { secrets, ...settings } = auth;
  return { ...settings, secretCount: secrets.length };
}
