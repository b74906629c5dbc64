import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import type { JSONWebKeySet } from 'jose';
import { calculateJwkThumbprint } from 'jose/jwk/thumbprint';
import { createLocalJWKSet } from 'jose/jwks/local';
import { CompactSign } from 'jose/jws/compact/sign';
import { compactVerify } from 'jose/jws/compact/verify';

const ALGORITHM = 'EdDSA';
/** What stands before the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410, section 7). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** A JWK Set (RFC 7517) of Ed25519 keys (RFC 8037). */
export interface KeySet extends JSONWebKeySet {
  keys: { kty: string; crv: string; x: string; kid: string; alg: string; use: string }[];
}

/** The gateway's own signature, by which others know later what it has said. */
export interface Signer {
  /** The thumbprint of the public key (RFC 7638). */
  readonly kid: string;
  /** The public key, as `/.well-known/jwks.json` shows it. */
  readonly keySet: KeySet;
  /**
   * A compact JWS (RFC 7515) of the payload's JSON.
   * @param type what it is (the header `typ`), so that none is taken for another
   */
  sign(payload: object, type: string): Promise<string>;
}

/** @param seed the 32 bytes of an Ed25519 private key (RFC 8032) */
export async function createSigner(seed: Uint8Array): Promise<Signer> {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
  const { kty, crv, x } = createPublicKey(key).export({ format: 'jwk' });
  const jwk = { kty: kty!, crv: crv!, x: x! };
  const kid = await calculateJwkThumbprint(jwk);
  return {
    kid,
    keySet: { keys: [{ ...jwk, kid, alg: ALGORITHM, use: 'sig' }] },
    sign: (payload, type) => sign(key, { alg: ALGORITHM, kid, typ: type }, payload),
  };
}

function sign(
  key: KeyObject,
  header: { alg: string; kid: string; typ: string },
  payload: object,
): Promise<string> {
  return new CompactSign(Buffer.from(JSON.stringify(payload))).setProtectedHeader(header).sign(key);
}

/**
 * The payload of a JWS of that type that one of the keys has signed.
 * @throws Error when there is no such signature
 */
export async function verifySigned(jws: string, type: string, keySet: JSONWebKeySet): Promise<unknown> {
  const keys = createLocalJWKSet(keySet);
  const { payload, protectedHeader } = await compactVerify(jws, keys, { algorithms: [ALGORITHM, 'Ed25519'] });
  if (protectedHeader.typ !== type) throw new Error(`it is a ${protectedHeader.typ} and not a ${type}`);
  return JSON.parse(Buffer.from(payload).toString('utf8'));
}
