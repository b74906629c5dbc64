/** Whose way of signing a webhook is checked; `hmac` is any other that signs with a shared secret. */
export const WEBHOOK_SCHEMES = ['standard', 'github', 'stripe', 'slack', 'hmac'] as const;
export type WebhookScheme = (typeof WEBHOOK_SCHEMES)[number];

export const HMAC_ALGORITHMS = ['sha256', 'sha1', 'sha512'] as const;
export type HmacAlgorithm = (typeof HMAC_ALGORITHMS)[number];
export const SIGNATURE_ENCODINGS = ['hex', 'base64'] as const;
export type SignatureEncoding = (typeof SIGNATURE_ENCODINGS)[number];

/** `async` stores the webhook and answers 202; `sync` answers as the function does. */
export const WEBHOOK_RESPONSES = ['async', 'sync'] as const;
export type WebhookResponse = (typeof WEBHOOK_RESPONSES)[number];

interface WebhookSettings {
  type: 'webhook';
  /** Any of them may have signed: while a secret is changed there are two. Never leave the gateway. */
  secrets: readonly string[];
  /** How far the sender's clock may be from this one, either way. */
  toleranceSeconds: number;
  /** How long a second delivery with the same id is known as one; 0 knows none. */
  dedupSeconds: number;
  respond: WebhookResponse;
}

/** How a sender signs that has a scheme of its own. */
export interface HmacScheme {
  scheme: 'hmac';
  /** Where the signature is; lower case, as the names below. */
  header: string;
  algorithm: HmacAlgorithm;
  encoding: SignatureEncoding;
  /** What stands before the signature in its header, as `sha256=`. */
  prefix: string;
  /** What is signed, with `{body}` and, where their headers are named, `{id}` and `{timestamp}` in it. */
  signedContent: string;
  /** Has the id of the delivery, for those that come twice. */
  idHeader: string | null;
  /** Has when it was sent, in seconds or ms since the epoch. */
  timestampHeader: string | null;
}

/** An event that is called by those who can sign, and by nobody else. */
export type WebhookAuth = WebhookSettings & ({ scheme: Exclude<WebhookScheme, 'hmac'> } | HmacScheme);

const STANDARD_PREFIX = 'whsec_';

/** The texts that must not be printed: a secret, and what is left of it without its mark. */
export function webhookSecretForms({ secrets }: WebhookAuth): string[] {
  return secrets.flatMap((secret) =>
    secret.startsWith(STANDARD_PREFIX) ? [secret, secret.slice(STANDARD_PREFIX.length)] : [secret],
  );
}
