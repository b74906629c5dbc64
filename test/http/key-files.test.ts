import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadOrCreateSecret, loadOrCreateSecretsKey } from '../../src/http/key-files.ts';

let directory: string;
let data: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cronium-keys-'));
  data = join(directory, 'data');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe('generated keys', () => {
  test('are made once, for the owner only, and found again', async () => {
    const secret = await loadOrCreateSecret(data);
    expect(Buffer.from(secret, 'base64')).toHaveLength(32);
    expect(await loadOrCreateSecret(data)).toBe(secret);
    const key = await loadOrCreateSecretsKey(data);
    expect(key).toHaveLength(32);
    expect(await loadOrCreateSecretsKey(data)).toEqual(key);
    for (const file of ['jwt-secret', 'secrets-key']) {
      expect((await stat(join(data, file))).mode & 0o777).toBe(0o600);
    }
  });

  test('are the same for all who start at once, and leave no drafts', async () => {
    const secrets = await Promise.all(Array.from({ length: 20 }, () => loadOrCreateSecret(data)));
    expect(new Set(secrets).size).toBe(1);
    expect(await readdir(data)).toEqual(['jwt-secret']);
  });

  test('that others can read are refused with the command that helps', async () => {
    await loadOrCreateSecret(data);
    await chmod(join(data, 'jwt-secret'), 0o640);
    await expect(loadOrCreateSecret(data)).rejects.toThrow(/chmod 600 '.*jwt-secret'/);
  });

  test('that are damaged are refused and not replaced', async () => {
    await loadOrCreateSecretsKey(data);
    await writeFile(join(data, 'secrets-key'), 'oops');
    await expect(loadOrCreateSecretsKey(data)).rejects.toThrow(/SECRETS_KEY/);
    expect(await readFile(join(data, 'secrets-key'), 'utf8')).toBe('oops');
    await loadOrCreateSecret(data);
    await writeFile(join(data, 'jwt-secret'), '');
    await expect(loadOrCreateSecret(data)).rejects.toThrow(/less than 32 bytes/);
  });
});
