import { Webhook as StandardWebhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import type { WebhookAuth } from '../../../src/core/webhook.ts';
import { authOf } from '../../../src/http/event-auth.ts';
import { webhookSchema } from '../../../src/http/webhook-schemas.ts';
import { claimOf } from '../../../src/http/webhooks/schemes.ts';
import { demandRecent, demandSigned } from '../../../src/http/webhooks/verify.ts';
import { BODY, hmac, SENDERS, type Sender, type Sent } from './senders.ts';

const NOW = new Date('2026-01-02T03:04:05Z');
const later = (seconds: number) => new Date(NOW.getTime() + seconds * 1_000);

function authWith(auth: object, ...secrets: string[]): WebhookAuth {
  const made = authOf(webhookSchema.parse({ ...auth, secrets }));
  if (typeof made === 'string') throw new TypeError('not a webhook');
  return made;
}

/** What is said of a delivery: `ok`, or why not. */
function verdict(auth: WebhookAuth, headers: Sent['headers'], body: string | Uint8Array, now = NOW): string {
  try {
    const claim = claimOf(auth, new Headers(headers));
    demandRecent(claim, auth, now);
    demandSigned(claim, auth, Buffer.from(body as string));
    return 'ok';
  } catch (error) {
    expect(error).toMatchObject({ code: 'invalid_signature', status: 401 });
    return (error as Error).message;
  }
}

describe('the published vectors are taken', () => {
  test('of Standard Webhooks', () => {
    const auth = authWith({ type: 'webhook', scheme: 'standard' }, 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw');
    const headers = {
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    };
    expect(verdict(auth, headers, '{"test": 2432232314}', new Date(1_614_265_330_000))).toBe('ok');
  });

  test('of GitHub', () => {
    const auth = authWith({ type: 'webhook', scheme: 'github' }, "It's a Secret to Everybody");
    const signature = 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17';
    expect(verdict(auth, { 'X-Hub-Signature-256': signature }, 'Hello, World!')).toBe('ok');
  });

  test('of Slack', () => {
    const auth = authWith({ type: 'webhook', scheme: 'slack' }, '8f742231b10e8888abcd99yyyzzz85a5');
    const headers = {
      'X-Slack-Request-Timestamp': '1531420618',
      'X-Slack-Signature': 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503',
    };
    const body =
      'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c';
    expect(verdict(auth, headers, body, new Date(1_531_420_618_000))).toBe('ok');
  });
});

describe.each(SENDERS.map((sender) => [sender.name, sender] as const))('what %s signs', (_name, sender) => {
  const auth = authWith(sender.auth, sender.secret);
  const sent = () => sender.send(BODY, sender.secret, NOW);

  test('is taken; by every secret there is, in any place', async () => {
    const { headers, body } = await sent();
    expect(verdict(auth, headers, body)).toBe('ok');
    const others = [other(sender, 1), other(sender, 2)];
    expect(verdict(authWith(sender.auth, ...others, sender.secret), headers, body)).toBe('ok');
    expect(verdict(authWith(sender.auth, ...others), headers, body)).toMatch(/^No secret of this event/);
  });

  test('is refused with any bit of its body changed, a byte more or less', async () => {
    const { headers, body } = await sent();
    const bytes = Buffer.from(body);
    for (let bit = 0; bit < bytes.byteLength * 8; bit++) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(verdict(auth, headers, changed), `bit ${bit}`).toMatch(/^No secret of this event/);
    }
    for (const changed of ['', `${body} `, ` ${body}`, body.slice(0, -1), body.replace('\\r\\n', '\\n')]) {
      expect(verdict(auth, headers, changed)).toMatch(/^No secret of this event/);
    }
  });

  test('is refused with its signature cut, longer, changed, or missing', async () => {
    const { headers, body } = await sent();
    const signature = headers[sender.signatureHeader]!;
    for (let length = 0; length < signature.length; length++) {
      const cut = { ...headers, [sender.signatureHeader]: signature.slice(0, length) };
      expect(verdict(auth, cut, body), `${length}`).not.toBe('ok');
    }
    for (const changed of [`${signature}0`, `${signature}=`, `x${signature}`, `${signature}é`]) {
      expect(verdict(auth, { ...headers, [sender.signatureHeader]: changed }, body), changed).not.toBe('ok');
    }
    const { [sender.signatureHeader]: _, ...unsigned } = headers;
    expect(verdict(auth, unsigned, body)).toMatch(new RegExp(`no header ${sender.signatureHeader}`, 'i'));
  });
});

const TIMED = SENDERS.filter(({ timestamped }) => timestamped);

describe.each(TIMED.map((sender) => [sender.name, sender] as const))(
  'what %s signs with a time',
  (_name, sender) => {
    const auth = authWith(sender.auth, sender.secret);
    const sent = () => sender.send(BODY, sender.secret, NOW);

    test('is refused when it is older, or newer, than the tolerance', async () => {
      const { headers, body } = await sent();
      expect([299, -299].map((seconds) => verdict(auth, headers, body, later(seconds)))).toEqual([
        'ok',
        'ok',
      ]);
      expect(verdict(auth, headers, body, later(301))).toMatch(/^The webhook was signed more than 300 s ago/);
      expect(verdict(auth, headers, body, later(-301))).toMatch(/more than 300 s ahead/);
      const patient = authWith({ ...sender.auth, toleranceSeconds: 600 }, sender.secret);
      expect(verdict(patient, headers, body, later(599))).toBe('ok');
    });

    test('is refused with another time, and with one that is none', async () => {
      const { headers, body } = await sent();
      const at = String(Math.floor(NOW.getTime() / 1_000));
      for (const time of [String(Number(at) + 1), '', 'soon', '-5', '1e9', '9'.repeat(400)]) {
        const changed = Object.fromEntries(
          Object.entries(headers).map(([name, value]) => [
            name,
            name === 'x-sent-at' ? time : value.replace(at, time),
          ]),
        );
        expect(verdict(auth, changed, body), time).not.toBe('ok');
      }
    });
  },
);

describe('a signature is looked for', () => {
  const standard = authWith({ type: 'webhook', scheme: 'standard' }, SENDERS[0]!.secret);
  const [{ secret }] = SENDERS as [Sender];

  test('among several of a sender that changes its secret, up to a bound', async () => {
    const { headers, body } = (await SENDERS[0]!.send(BODY, secret, NOW)) as Sent;
    const good = headers['webhook-signature']!;
    const wrong = `v1,${Buffer.alloc(32).toString('base64')}`;
    const withSignatures = (signatures: string[]) =>
      verdict(standard, { ...headers, 'webhook-signature': signatures.join(' ') }, body);
    expect(withSignatures(['v1a,abc', 'nothing', wrong, good])).toBe('ok');
    expect(withSignatures([...Array(200).fill(wrong), good])).toMatch(/^No secret/);
    expect(withSignatures([good.replace('v1,', 'v2,')])).toMatch(/^No secret/);
    const stripe = authWith({ type: 'webhook', scheme: 'stripe' }, 'whsec_of_the_endpoint');
    const time = Math.floor(NOW.getTime() / 1_000);
    const v1 = hmac('sha256', 'whsec_of_the_endpoint', `${time}.x`, 'hex');
    const stripes = (header: string) => verdict(stripe, { 'stripe-signature': header }, 'x');
    expect(stripes(`t=${time},v1=${'0'.repeat(64)},v0=${v1},v1=${v1}`)).toBe('ok');
    expect(stripes(`t=${time},v0=${v1}`)).toMatch(/^No secret/);
    expect(stripes(`t=${time},t=${time},v1=${v1}`)).toMatch(/must be like t=/);
    expect(stripes(`v1=${v1}`)).toMatch(/must be like t=/);
  });

  test('over the bytes as they are, where making text of them would lose some', () => {
    const id = 'msg_1';
    const signed = Buffer.from('{"a":"\ufffd"}');
    const changed = Buffer.from(signed.toString('latin1').replace('\u00ef\u00bf\u00bd', '\u00ff'), 'latin1');
    const headers = {
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(Date.now() / 1_000)),
      'webhook-signature': new StandardWebhook(secret).sign(id, new Date(), signed.toString()),
    };
    // The standard's own library takes both for one, which is why it does not verify here.
    expect(() => new StandardWebhook(secret).verify(changed, headers)).not.toThrow();
    expect(verdict(standard, headers, signed, new Date())).toBe('ok');
    expect(verdict(standard, headers, changed, new Date())).toMatch(/^No secret/);
  });

  test('with SHA-1 where a sender knows no better, and its digest is not taken for a longer one', () => {
    const auth = authWith(
      { type: 'webhook', scheme: 'hmac', header: 'X-Sig', algorithm: 'sha1' },
      'long enough',
    );
    const signature = hmac('sha1', 'long enough', 'body', 'hex');
    expect(verdict(auth, { 'x-sig': signature }, 'body')).toBe('ok');
    expect(verdict(auth, { 'x-sig': hmac('sha256', 'long enough', 'body', 'hex') }, 'body')).toMatch(
      /^No sec/,
    );
  });
});

/** A secret of the same form that signs nothing here. */
function other(sender: Sender, seed: number): string {
  return sender.auth.scheme === 'standard'
    ? `whsec_${Buffer.alloc(32, seed).toString('base64')}`
    : `another secret ${seed}`;
}
