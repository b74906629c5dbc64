import { createHmac } from 'node:crypto';
import { sign } from '@octokit/webhooks-methods';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import Stripe from 'stripe';
import { Webhook as SvixWebhook } from 'svix';

/** One that a provider sends: what is signed, and how. */
export interface Sent {
  headers: Record<string, string>;
  body: string;
}

/** A provider's own library, or where it has none what its documentation says. */
export interface Sender {
  name: string;
  /** The event's `auth`, without the secret. */
  auth: Record<string, unknown>;
  secret: string;
  /** Does the id of a delivery come from the sender. */
  id: string | null;
  signatureHeader: string;
  timestamped: boolean;
  send(body: string, secret: string, at: Date): Sent | Promise<Sent>;
}

const ID = 'msg_p5jXN8AQM9LWM0D4loKWxJek';
const WHSEC = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const JSON_TYPE = { 'content-type': 'application/json' };
const seconds = (at: Date) => String(Math.floor(at.getTime() / 1_000));
const stripe = new Stripe('sk_test_of_nobody');

export const SENDERS: readonly Sender[] = [
  {
    name: 'standardwebhooks',
    auth: { type: 'webhook', scheme: 'standard' },
    secret: WHSEC,
    id: ID,
    signatureHeader: 'webhook-signature',
    timestamped: true,
    send: (body, secret, at) => ({
      headers: {
        ...JSON_TYPE,
        'webhook-id': ID,
        'webhook-timestamp': seconds(at),
        'webhook-signature': new StandardWebhook(secret).sign(ID, at, body),
      },
      body,
    }),
  },
  {
    name: 'svix',
    auth: { type: 'webhook', scheme: 'standard' },
    secret: WHSEC,
    id: ID,
    signatureHeader: 'svix-signature',
    timestamped: true,
    send: (body, secret, at) => ({
      headers: {
        ...JSON_TYPE,
        'svix-id': ID,
        'svix-timestamp': seconds(at),
        'svix-signature': new SvixWebhook(secret).sign(ID, at, body),
      },
      body,
    }),
  },
  {
    name: '@octokit/webhooks-methods',
    auth: { type: 'webhook', scheme: 'github' },
    secret: "It's a Secret to Everybody",
    id: '72d3162e-cc78-11e3-81ab-4c9367dc0958',
    signatureHeader: 'x-hub-signature-256',
    timestamped: false,
    send: async (body, secret) => ({
      headers: {
        ...JSON_TYPE,
        'x-github-event': 'push',
        'x-github-delivery': '72d3162e-cc78-11e3-81ab-4c9367dc0958',
        'x-hub-signature-256': await sign(secret, body),
      },
      body,
    }),
  },
  {
    name: 'stripe',
    auth: { type: 'webhook', scheme: 'stripe' },
    secret: 'whsec_of_the_endpoint',
    id: 'evt_1NG8Du2eZvKYlo2CUI79vXWy',
    signatureHeader: 'stripe-signature',
    timestamped: true,
    send: (payload, secret, at) => ({
      headers: {
        ...JSON_TYPE,
        'stripe-signature': stripe.webhooks.generateTestHeaderString({
          payload,
          secret,
          timestamp: Number(seconds(at)),
        }),
      },
      body: payload,
    }),
  },
  {
    name: 'Slack, as documented',
    auth: { type: 'webhook', scheme: 'slack' },
    secret: '8f742231b10e8888abcd99yyyzzz85a5',
    id: 'Ev08MFMKH6',
    signatureHeader: 'x-slack-signature',
    timestamped: true,
    send: (body, secret, at) => ({
      headers: {
        ...JSON_TYPE,
        'x-slack-request-timestamp': seconds(at),
        'x-slack-signature': `v0=${hmac('sha256', secret, `v0:${seconds(at)}:${body}`, 'hex')}`,
      },
      body,
    }),
  },
  {
    name: 'a scheme of its own',
    auth: {
      type: 'webhook',
      scheme: 'hmac',
      header: 'Authorization',
      prefix: 'HMAC ',
      algorithm: 'sha512',
      encoding: 'base64',
      idHeader: 'X-Delivery',
      timestampHeader: 'X-Sent-At',
      signedContent: '{id}\\{timestamp}\\{body}\\end',
    },
    secret: 'a secret of both sides, ünlike any',
    id: 'd-$&-1',
    signatureHeader: 'authorization',
    timestamped: true,
    send: (body, secret, at) => ({
      headers: {
        ...JSON_TYPE,
        'x-delivery': 'd-$&-1',
        // In milliseconds, as some senders have it.
        'x-sent-at': String(at.getTime()),
        authorization: `HMAC ${hmac('sha512', secret, `d-$&-1\\${at.getTime()}\\${body}\\end`, 'base64')}`,
      },
      body,
    }),
  },
];

export function hmac(algorithm: string, secret: string, text: string, encoding: 'hex' | 'base64'): string {
  return createHmac(algorithm, secret).update(text).digest(encoding);
}

/** A body that has the ids of those senders that put them there. */
export const BODY = JSON.stringify({
  id: 'evt_1NG8Du2eZvKYlo2CUI79vXWy',
  event_id: 'Ev08MFMKH6',
  text: 'Ünïcode, “quotes”,\r\nlines and \u{1f980}',
});
