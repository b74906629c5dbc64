import { createHmac, timingSafeEqual } from 'node:crypto';
import type { WebhookAuth } from '../../core/webhook.ts';
import { type Claim, invalidSignature } from './claim.ts';

/**
 * Whether a delivery is of now; looked at before its body is read.
 * @throws GatewayError `invalid_signature`
 */
export function demandRecent(
  { timestampSeconds }: Claim,
  { toleranceSeconds }: WebhookAuth,
  now: Date,
): void {
  if (timestampSeconds === undefined) return;
  const ageSeconds = now.getTime() / 1_000 - timestampSeconds;
  if (ageSeconds > toleranceSeconds) {
    throw invalidSignature(
      `The webhook was signed more than ${toleranceSeconds} s ago: sign it anew, and set the sender's clock`,
    );
  }
  if (ageSeconds < -toleranceSeconds) {
    throw invalidSignature(
      `The webhook was signed more than ${toleranceSeconds} s ahead of now: set the sender's clock`,
    );
  }
}

/**
 * Whether one of the secrets signed these bytes. Every secret and every signature is tried, whichever fits, so that the
 * time taken tells nothing.
 * @throws GatewayError `invalid_signature`
 */
export function demandSigned(claim: Claim, { secrets }: WebhookAuth, body: Uint8Array): void {
  let signed = false;
  for (const secret of secrets) {
    // Headers are read as Latin-1: written so, they are the bytes that were sent.
    const expected = createHmac(claim.algorithm, claim.keyOf(secret))
      .update(claim.before, 'latin1')
      .update(body)
      .update(claim.after, 'latin1')
      .digest();
    for (const signature of claim.signatures) {
      if (timingSafeEqual(signature, expected)) signed = true;
    }
  }
  if (!signed) {
    throw invalidSignature(
      'No secret of this event fits the signature: the secret is another one, or the body was changed on its way',
    );
  }
}
