import { createHash } from 'node:crypto';
import type { WebhookAuth } from '../../core/webhook.ts';
import type { Claim } from './claim.ts';

/** A delivery whose signature was checked. */
export interface Delivery {
  /** By which the sender names it, each time that it comes; `null` when it has no name. */
  id: string | null;
  /** What Slack wants back before it sends anything: the proof that the URL is its owner's. */
  challenge?: string;
}

const PLAIN_ID = /^[\x21-\x7e]{1,128}$/;

/** What a sender says in the body instead of a header. */
export function deliveryOf({ scheme }: WebhookAuth, claim: Claim, body: Uint8Array): Delivery {
  if (scheme === 'stripe') return { id: textOf(memberOf(parse(body), 'id')) ?? null };
  if (scheme !== 'slack') return { id: claim.id ?? null };
  const message = parse(body);
  const challenge = textOf(memberOf(message, 'challenge'));
  if (memberOf(message, 'type') === 'url_verification' && challenge !== undefined)
    return { id: null, challenge };
  // Commands and buttons have no id, but no two are signed alike: each has a trigger of its own.
  return { id: textOf(memberOf(message, 'event_id')) ?? signatureOf(claim) };
}

/** An id as a key of bounded length; what is too long or not plain is named by its hash. */
export function dedupKeyOf(id: string): string {
  return PLAIN_ID.test(id) ? id : `sha256:${createHash('sha256').update(id).digest('hex')}`;
}

/** Of those that came, the one is enough that fits; who may sign adds no others. */
const signatureOf = ({ signatures }: Claim) => `v0=${signatures[0]?.toString('hex') ?? ''}`;

function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'));
  } catch {
    return undefined;
  }
}

function memberOf(value: unknown, name: string): unknown {
  const isObject = typeof value === 'object' && value !== null;
  return isObject && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
