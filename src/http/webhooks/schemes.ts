import type { HmacScheme, WebhookAuth } from '../../core/webhook.ts';
import { type Claim, demandHeader, digests, invalidSignature, secondsOf, textKey } from './claim.ts';

/**
 * Reads from the headers how a delivery is signed.
 * @throws GatewayError `invalid_signature` when a header is missing or malformed
 */
export function claimOf(auth: WebhookAuth, headers: Headers): Claim {
  switch (auth.scheme) {
    case 'standard':
      return standard(headers);
    case 'github':
      return github(headers);
    case 'stripe':
      return stripe(headers);
    case 'slack':
      return slack(headers);
    case 'hmac':
      return hmac(auth, headers);
  }
}

const SHA256 = { algorithm: 'sha256', before: '', after: '', keyOf: textKey } as const;

/**
 * Standard Webhooks: `webhook-*`, or `svix-*` of senders that were there before the standard. The standard's own library is
 * not used to verify: it makes text of the body, so that bytes which are none are lost, and hashes in JavaScript.
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
function standard(headers: Headers): Claim {
  const family = headers.has('webhook-id') || !headers.has('svix-id') ? 'webhook' : 'svix';
  const id = demandHeader(headers, `${family}-id`);
  const timestamp = demandHeader(headers, `${family}-timestamp`);
  const signatures = demandHeader(headers, `${family}-signature`).split(' ', 64);
  const known = signatures.filter((text) => text.startsWith('v1,')).map((text) => text.slice('v1,'.length));
  return {
    ...SHA256,
    signatures: digests(known, 'sha256', 'base64'),
    before: `${id}.${timestamp}.`,
    keyOf: (secret) => Buffer.from(secret.slice('whsec_'.length), 'base64'),
    timestampSeconds: secondsOf(timestamp, `${family}-timestamp`),
    id,
  };
}

/** @see https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries */
function github(headers: Headers): Claim {
  const signature = demandHeader(headers, 'X-Hub-Signature-256');
  return {
    ...SHA256,
    signatures: digests(unprefixed(signature, 'sha256='), 'sha256', 'hex'),
    timestampSeconds: undefined,
    id: headers.get('x-github-delivery') ?? undefined,
  };
}

/** @see https://docs.stripe.com/webhooks/signature */
function stripe(headers: Headers): Claim {
  const name = 'Stripe-Signature';
  const parts = demandHeader(headers, name)
    .split(',', 64)
    .map((part) => part.trim());
  const valuesOf = (key: string) => parts.flatMap((part) => unprefixed(part, `${key}=`));
  const [timestamp, ...others] = valuesOf('t');
  if (timestamp === undefined || others.length > 0) {
    throw invalidSignature(`The header ${name} must be like t=1700000000,v1=<hex>`);
  }
  return {
    ...SHA256,
    signatures: digests(valuesOf('v1'), 'sha256', 'hex'),
    before: `${timestamp}.`,
    timestampSeconds: secondsOf(timestamp, name),
    id: undefined,
  };
}

/** @see https://docs.slack.dev/authentication/verifying-requests-from-slack */
function slack(headers: Headers): Claim {
  const timestamp = demandHeader(headers, 'X-Slack-Request-Timestamp');
  const signature = demandHeader(headers, 'X-Slack-Signature');
  return {
    ...SHA256,
    signatures: digests(unprefixed(signature, 'v0='), 'sha256', 'hex'),
    before: `v0:${timestamp}:`,
    timestampSeconds: secondsOf(timestamp, 'X-Slack-Request-Timestamp'),
    id: undefined,
  };
}

function hmac(auth: HmacScheme, headers: Headers): Claim {
  const { algorithm, encoding, prefix, signedContent, idHeader, timestampHeader } = auth;
  const signature = demandHeader(headers, auth.header);
  const timestamp = timestampHeader === null ? '' : demandHeader(headers, timestampHeader);
  const signsId = signedContent.includes('{id}');
  const id = idHeader === null ? undefined : idOf(headers, idHeader, signsId);
  const [before = '', after = ''] = signedContent.split('{body}').map((text) =>
    // A function, because a dollar sign in what a sender sends must not be taken for a pattern.
    text.replaceAll(/\{(id|timestamp)\}/g, (_, name) => (name === 'id' ? (id ?? '') : timestamp)),
  );
  return {
    signatures: digests(unprefixed(signature, prefix), algorithm, encoding),
    algorithm,
    before,
    after,
    keyOf: textKey,
    timestampSeconds: timestampHeader === null ? undefined : secondsOf(timestamp, timestampHeader),
    id,
  };
}

function idOf(headers: Headers, name: string, isSigned: boolean): string | undefined {
  return isSigned ? demandHeader(headers, name) : (headers.get(name) ?? undefined);
}

function unprefixed(text: string, prefix: string): string[] {
  return text.startsWith(prefix) ? [text.slice(prefix.length)] : [];
}
