import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

const ALGORITHM = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** What was sealed cannot be opened: another key, or the stored text was changed. */
export class SecretsKeyError extends Error {
  override readonly name = 'SecretsKeyError';
}

/** Seals text at rest with AES-256-GCM: base64 of nonce, ciphertext and tag. */
export interface SecretBox {
  /** `context` is authenticated: what is sealed for one place cannot be opened in another. */
  seal(text: string, context: string): string;
  /** @throws SecretsKeyError */
  open(sealed: string, context: string): string;
}

/** @throws TypeError when the key is not 32 bytes */
export function createSecretBox(key: Uint8Array): SecretBox {
  if (key.byteLength !== KEY_BYTES) {
    throw new TypeError(`SECRETS_KEY must be ${KEY_BYTES} bytes, not ${key.byteLength}`);
  }
  return {
    seal(text, context) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(ALGORITHM, key, nonce).setAAD(Buffer.from(context));
      const sealed = [nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()];
      return Buffer.concat(sealed).toString('base64');
    },
    open(sealed, context) {
      const bytes = Buffer.from(sealed, 'base64');
      try {
        const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(0, NONCE_BYTES), {
          authTagLength: TAG_BYTES,
        });
        decipher.setAAD(Buffer.from(context)).setAuthTag(bytes.subarray(-TAG_BYTES));
        const text = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES));
        return Buffer.concat([text, decipher.final()]).toString('utf8');
      } catch (cause) {
        throw new SecretsKeyError(
          'Stored secrets cannot be decrypted: SECRETS_KEY is not the key they were encrypted with. Start with the key this database was made with.',
          { cause },
        );
      }
    },
  };
}
