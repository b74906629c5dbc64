import { createHmac, hkdfSync } from 'node:crypto';
import type { Invocation } from '../core/invocation.ts';
import type { Delivery, Send } from '../core/queue/deliveries.ts';
import { post } from './post.ts';

const SECRET_BYTES = 32;

/** The secret that an event's callbacks are signed with unless it has its own: nothing is stored that could be lost. */
export function callbackSecret(secretsKey: Uint8Array, eventId: string): string {
  const bytes = hkdfSync('sha256', secretsKey, '', `callbacks:${eventId}`, SECRET_BYTES);
  return `whsec_${Buffer.from(bytes).toString('base64')}`;
}

/** Sends by HTTP, signed as Standard Webhooks, with the headers of OpenFaaS. */
export function sender(options: { allowPrivate: boolean }): Send {
  return (delivery, invocation, secret) => {
    const { body, contentType } = contentOf(delivery, invocation);
    const seconds = String(Math.floor(Date.now() / 1_000));
    const headers = {
      'content-type': contentType,
      'webhook-id': delivery.id,
      'webhook-timestamp': seconds,
      'webhook-signature': signature(secret, `${delivery.id}.${seconds}.`, body),
      'x-call-id': invocation.id,
      'x-duration-seconds': ((invocation.phases.exec ?? 0) / 1_000).toFixed(6),
      'x-function-name': invocation.eventName,
      'x-function-status': String(invocation.statusCode ?? 500),
      // The one who asked for it; a destination is the owner's.
      ...(delivery.kind === 'callback' &&
        invocation.receipt !== undefined && { 'x-cronium-receipt': invocation.receipt }),
    };
    return post(new URL(delivery.url), headers, body, options);
  };
}

/** Standard Webhooks, by hand: its library signs text, and a function may answer with any bytes. */
function signature(secret: string, prefix: string, body: Buffer): string {
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  return `v1,${createHmac('sha256', key).update(prefix).update(body).digest('base64')}`;
}

/** A caller's own URL is given what the function answered, as OpenFaaS does; a destination, an event about it. */
function contentOf(
  { kind, result }: Delivery,
  invocation: Invocation,
): { body: Buffer; contentType: string } {
  if (kind === 'callback' && result !== undefined) {
    const body = Buffer.from(result.body, result.isBase64Encoded ? 'base64' : 'utf8');
    return { body, contentType: result.headers['content-type'] ?? 'application/octet-stream' };
  }
  const { id, eventName, eventVersion, status, attempt, error } = invocation;
  const data = {
    id,
    event: eventName,
    version: eventVersion,
    status,
    attempt,
    // What the function itself said is for its owner, who reads the record.
    error: error && { code: error.code },
    ...(result !== undefined && { result }),
  };
  const timestamp = (invocation.endedAt ?? invocation.createdAt).toISOString();
  const type = status === 'succeeded' ? 'invocation.succeeded' : 'invocation.failed';
  return { body: Buffer.from(JSON.stringify({ type, timestamp, data })), contentType: 'application/json' };
}
