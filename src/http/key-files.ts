import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeKey } from '../config/decode-key.ts';
import type { Config } from '../config.ts';
import { createSigner, type Signer } from '../signing.ts';

const KEY_BYTES = 32;

/** A file with a key in it cannot be used as it is; the message has the remedy. */
export class KeyFileError extends Error {
  override readonly name = 'KeyFileError';
}

/**
 * The secret that signs tokens when none is configured, made at first use.
 * @throws KeyFileError
 */
export async function loadOrCreateSecret(dataDir: string): Promise<string> {
  const path = join(dataDir, 'jwt-secret');
  const secret = await loadOrCreate(path);
  if (Buffer.byteLength(secret) >= KEY_BYTES) return secret;
  throw new KeyFileError(`${path} holds less than ${KEY_BYTES} bytes: remove it to have a new one made.`);
}

/**
 * The key that encrypts the secrets of events when none is configured, made at first use.
 * @throws KeyFileError
 */
export async function loadOrCreateSecretsKey(dataDir: string): Promise<Buffer> {
  const path = join(dataDir, 'secrets-key');
  const key = decodeKey(await loadOrCreate(path));
  if (key !== undefined) return key;
  throw new KeyFileError(
    `${path} does not hold ${KEY_BYTES} bytes as base64 or hex: put the key back, or set SECRETS_KEY.`,
  );
}

/**
 * What signs for the gateway: with SIGNING_KEY, or with a key in a file.
 * @param create make one when there is none
 * @throws KeyFileError
 */
export async function loadSigner(
  { SIGNING_KEY }: Pick<Config, 'SIGNING_KEY'>,
  dataDir: string,
  create = true,
): Promise<Signer> {
  if (SIGNING_KEY !== undefined) return createSigner(decodeKey(SIGNING_KEY)!);
  const path = join(dataDir, 'signing-key');
  const text = create ? await loadOrCreate(path) : await load(path);
  if (text === undefined) throw new KeyFileError(`There is no key at ${path}: no gateway has run there.`);
  const key = decodeKey(text);
  if (key !== undefined) return createSigner(key);
  throw new KeyFileError(
    `${path} does not hold ${KEY_BYTES} bytes as base64 or hex: put the key back, or set SIGNING_KEY.`,
  );
}

async function loadOrCreate(path: string): Promise<string> {
  const found = await load(path);
  if (found !== undefined) return found;
  await createFile(path);
  const made = await load(path);
  if (made === undefined) throw new KeyFileError(`${path} vanished while it was read.`);
  return made;
}

async function load(path: string): Promise<string | undefined> {
  try {
    await using file = await open(path, 'r');
    const { mode } = await file.stat();
    if ((mode & 0o077) !== 0) {
      throw new KeyFileError(`${path} can be read by others than its owner. Run: chmod 600 '${path}'`);
    }
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Written whole under another name and then linked, so that nobody ever reads half a key or replaces one that is there. */
async function createFile(path: string): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomBytes(6).toString('hex')}`;
  await writeFile(draft, `${randomBytes(KEY_BYTES).toString('base64')}\n`, {
    flag: 'wx',
    mode: 0o600,
    flush: true,
  });
  try {
    await link(draft, path);
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error;
  } finally {
    await unlink(draft);
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
