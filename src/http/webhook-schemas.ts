import { z } from '@hono/zod-openapi';
import { AUTH_MODES } from '../core/event.ts';
import { HMAC_ALGORITHMS, SIGNATURE_ENCODINGS, WEBHOOK_RESPONSES, WEBHOOK_SCHEMES } from '../core/webhook.ts';

const STANDARD_SECRET = /^whsec_([A-Za-z0-9+/]+={0,2})$/;
const STANDARD_KEY_BYTES = { min: 24, max: 64 };
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}$/;
const PLACEHOLDER = /\{(\w*)\}/g;
const MAX_SECRETS = 8;
const MAX_SECONDS = 2_592_000;

const secret = z
  .string()
  .min(8, 'must have at least 8 characters')
  .max(512, 'must have at most 512 characters')
  .refine((text) => text.isWellFormed() && !text.includes('\0'), 'must be Unicode text without NUL');

const settings = {
  type: z.literal('webhook'),
  secret: secret.optional().openapi({
    writeOnly: true,
    description: 'What the sender signs with. Encrypted at rest and never returned; kept when left out',
  }),
  secrets: z
    .array(secret)
    .min(1, 'must have at least one')
    .max(MAX_SECRETS, `must have at most ${MAX_SECRETS}`)
    .optional()
    .openapi({
      writeOnly: true,
      description: 'Several instead of one, while a secret is being changed: any of them may have signed',
    }),
  toleranceSeconds: z
    .int()
    .min(1)
    .max(MAX_SECONDS)
    .default(300)
    .openapi({ description: 'How far the time of a signature may be from now, either way' }),
  dedupSeconds: z
    .int()
    .min(0)
    .max(MAX_SECONDS)
    .default(86_400)
    .openapi({ description: 'How long a delivery that comes again is known by its id; 0: not at all' }),
  respond: z.enum(WEBHOOK_RESPONSES).default('async').openapi({
    description: '`async`: stored, then 202. `sync`: the sender waits for the function’s own answer',
  }),
};

/** Headers hold no other, and what is signed is made of them. */
const ascii = z.string().regex(/^[\x20-\x7e]*$/, 'must be printable ASCII');
const headerName = z.string().regex(HEADER_NAME, 'must be the name of a header, as X-Signature');

const secretOnce = (
  body: { secret?: string | undefined; secrets?: string[] | undefined },
  context: z.RefinementCtx,
) => {
  if (body.secret === undefined || body.secrets === undefined) return;
  const message = 'must not be given beside secret; put all of them into secrets';
  context.addIssue({ code: 'custom', path: ['secrets'], message });
};

const knownSender = z
  .strictObject({ ...settings, scheme: z.enum(WEBHOOK_SCHEMES).exclude(['hmac']) })
  .superRefine(secretOnce)
  .superRefine(({ scheme, secret, secrets }, context) => {
    if (scheme !== 'standard') return;
    const given: [string[], string][] = (secrets ?? []).map((text, at) => [['secrets', String(at)], text]);
    if (secret !== undefined) given.push([['secret'], secret]);
    for (const [path, text] of given) {
      if (isStandardSecret(text)) continue;
      const message =
        'must be whsec_ and the base64 of 24 to 64 bytes; make one with: echo "whsec_$(openssl rand -base64 24)"';
      context.addIssue({ code: 'custom', path, message });
    }
  })
  .openapi('WebhookAuth', { example: { type: 'webhook', scheme: 'github', secret: 'a long random text' } });

const anySender = z
  .strictObject({
    ...settings,
    scheme: z.literal('hmac'),
    header: headerName.openapi({ description: 'Has the signature', example: 'X-Signature' }),
    algorithm: z.enum(HMAC_ALGORITHMS).default('sha256'),
    encoding: z.enum(SIGNATURE_ENCODINGS).default('hex'),
    prefix: ascii
      .max(64)
      .default('')
      .openapi({ description: 'Stands before the signature in its header', example: 'sha256=' }),
    idHeader: headerName.optional().openapi({ description: 'Has the id of a delivery' }),
    timestampHeader: headerName
      .optional()
      .openapi({ description: 'Has the time of a delivery, seconds or milliseconds since the epoch' }),
    signedContent: ascii.max(200).optional().openapi({
      description:
        'What is signed: `{body}`, and `{timestamp}` and `{id}` where their headers are named. `{body}` when not given, or `{timestamp}.{body}`',
    }),
  })
  .superRefine(secretOnce)
  .superRefine(({ signedContent, idHeader, timestampHeader }, context) => {
    if (signedContent === undefined) return;
    const fault = (message: string) => context.addIssue({ code: 'custom', path: ['signedContent'], message });
    const names = [...signedContent.matchAll(PLACEHOLDER)].map((match) => match[1]);
    const unknown = names.find((name) => !['body', 'timestamp', 'id'].includes(name ?? ''));
    if (unknown !== undefined) fault(`has {${unknown}}; use {body}, {timestamp} and {id}`);
    if (names.filter((name) => name === 'body').length !== 1) fault('must have {body} once');
    if (names.includes('timestamp') !== (timestampHeader !== undefined))
      fault(
        'must have {timestamp} if, and only if, timestampHeader is given: a time unsigned proves nothing',
      );
    if (names.includes('id') && idHeader === undefined) fault('has {id}; name its header in idHeader');
  })
  .openapi('HmacWebhookAuth', {
    example: { type: 'webhook', scheme: 'hmac', secret: 'a long random text', header: 'X-Signature' },
  });

const oneOf = (words: readonly string[]) => words.map((word) => JSON.stringify(word)).join(', ');

export const webhookSchema = z.discriminatedUnion('scheme', [knownSender, anySender], {
  error: ({ code }) => (code === 'invalid_union' ? `must be one of ${oneOf(WEBHOOK_SCHEMES)}` : undefined),
});

const FORMS = `must be ${oneOf(AUTH_MODES)} or an object with the type "webhook"`;

/** Who may call: a word, or how a webhook's senders sign. */
export const authSchema = z.union([z.enum(AUTH_MODES), webhookSchema], { error: FORMS });

/** A merge patch of it; what comes of it is validated as a whole. */
export const authPatchSchema = z
  .union([z.enum(AUTH_MODES), z.looseObject({})], { error: FORMS })
  .openapi({ description: 'A word, or what is to change in how a webhook’s senders sign' });

/** What is shown of it: everything but the secrets. */
export const authViewSchema = z.union([
  z.enum(AUTH_MODES),
  z
    .object({
      type: z.literal('webhook'),
      scheme: z.enum(WEBHOOK_SCHEMES),
      secretCount: z.int(),
      toleranceSeconds: z.int(),
      dedupSeconds: z.int(),
      respond: z.enum(WEBHOOK_RESPONSES),
      header: z.string().optional(),
      algorithm: z.enum(HMAC_ALGORITHMS).optional(),
      encoding: z.enum(SIGNATURE_ENCODINGS).optional(),
      prefix: z.string().optional(),
      signedContent: z.string().optional(),
      idHeader: z.string().nullable().optional(),
      timestampHeader: z.string().nullable().optional(),
    })
    .openapi('WebhookAuthView'),
]);

export type AuthBody = z.output<typeof authSchema>;
export type AuthPatch = z.output<typeof authPatchSchema>;

function isStandardSecret(text: string): boolean {
  const encoded = STANDARD_SECRET.exec(text)?.[1];
  if (encoded === undefined) return false;
  const key = Buffer.from(encoded, 'base64');
  const { min, max } = STANDARD_KEY_BYTES;
  // Written back it must be the same: a decoder that is less lenient on the sender's side would read another key.
  return key.toString('base64') === encoded && key.byteLength >= min && key.byteLength <= max;
}
