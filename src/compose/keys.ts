import { decodeKey } from '../config/decode-key.ts';
import type { Config } from '../config.ts';
import { loadOrCreateSecret, loadOrCreateSecretsKey, loadSigner } from '../http/key-files.ts';
import type { Signer } from '../signing.ts';

/** What the gateway signs and encrypts with. */
export interface Keys {
  /** The HS256 secret that tokens are signed with; `undefined` when they come from elsewhere. */
  jwtSecret: string | undefined;
  /** Encrypts the secrets of events; 32 bytes. */
  secretsKey: Buffer;
  signer: Signer;
}

/**
 * As they are configured; what is not is read from the directory, and made there at a first start.
 * @throws KeyFileError
 */
export async function loadKeys(config: Config, dataDir: string): Promise<Keys> {
  const usesKeySet = config.JWT_JWKS_URL !== undefined;
  return {
    jwtSecret: usesKeySet ? undefined : (config.JWT_SECRET ?? (await loadOrCreateSecret(dataDir))),
    secretsKey: config.SECRETS_KEY ? decodeKey(config.SECRETS_KEY)! : await loadOrCreateSecretsKey(dataDir),
    signer: await loadSigner(config, dataDir),
  };
}
