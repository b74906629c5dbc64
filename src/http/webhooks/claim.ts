import type { HmacAlgorithm, SignatureEncoding } from '../../core/webhook.ts';
import { GatewayError } from '../../errors.ts';

/** What a sender says of its delivery in the headers: nothing of it is believed before the signature is checked. */
export interface Claim {
  /** Digests; one of them must be right. */
  signatures: readonly Buffer[];
  algorithm: HmacAlgorithm;
  /** What is signed before and after the body. */
  before: string;
  after: string;
  /** The key that a secret stands for. */
  keyOf: (secret: string) => Buffer;
  /** When it was sent, if the sender says so under its signature; seconds since the epoch. */
  timestampSeconds: number | undefined;
  /** By which the same delivery is known when it comes again. */
  id: string | undefined;
}

export const DIGEST_BYTES: Readonly<Record<HmacAlgorithm, number>> = { sha256: 32, sha1: 20, sha512: 64 };
/** Who changes a secret signs twice, and not a hundred times. */
const MAX_SIGNATURES = 16;

export const textKey = (secret: string): Buffer => Buffer.from(secret, 'utf8');

export function invalidSignature(message: string): GatewayError {
  return new GatewayError('invalid_signature', message);
}

/** @throws GatewayError `invalid_signature` when it is missing */
export function demandHeader(headers: Headers, name: string): string {
  const value = headers.get(name);
  if (value === null || value === '') {
    throw invalidSignature(`The webhook is not signed as this event demands: it has no header ${name}`);
  }
  return value;
}

/**
 * A time in whole seconds, or in ms where seconds would be past the year 5000.
 * @throws GatewayError `invalid_signature`
 */
export function secondsOf(text: string, name: string): number {
  if (!/^\d{1,15}$/.test(text)) throw invalidSignature(`The header ${name} has no time in it, as 1700000000`);
  const value = Number(text);
  return value > 1e11 ? value / 1_000 : value;
}

/** The digests that are written as they must be; the others cannot be right. */
export function digests(
  texts: readonly string[],
  algorithm: HmacAlgorithm,
  encoding: SignatureEncoding,
): Buffer[] {
  return texts
    .slice(0, MAX_SIGNATURES)
    .map((text) => decode(text, encoding))
    .filter((digest) => digest?.byteLength === DIGEST_BYTES[algorithm])
    .map((digest) => digest as Buffer);
}

/** `undefined` for what is not written in the encoding from beginning to end: Node.js would skip what it does not know. */
function decode(text: string, encoding: SignatureEncoding): Buffer | undefined {
  const decoded = Buffer.from(text, encoding);
  const again = decoded.toString(encoding);
  return again === (encoding === 'hex' ? text.toLowerCase() : text) ? decoded : undefined;
}
