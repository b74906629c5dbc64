import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import type { Config } from '../config.ts';
import { instanceIdIn } from '../data-dir.ts';
import { messageOf } from '../errors.ts';
import { loadOrCreateSecret, loadSigner } from '../http/key-files.ts';
import { signToken } from '../http/tokens.ts';

/** The user that demo events and the command line act as, unless told otherwise. */
export const LOCAL_USER = 'local';
export const ALL_SCOPES = 'events:read events:write events:invoke variables:read variables:write bench';

export interface TokenRequest {
  sub: string;
  scope: string;
  ttlSeconds: number;
  tier?: string | undefined;
}

/**
 * A token signed as the gateway of this configuration wants it.
 * @throws Error when tokens are another's to issue
 */
export async function mintToken(config: Config, request: TokenRequest): Promise<string> {
  if (config.JWT_JWKS_URL !== undefined) {
    throw new Error(
      'JWT_JWKS_URL is set: tokens come from that issuer, and only it has the key to sign them.',
    );
  }
  const secret = config.JWT_SECRET ?? (await loadOrCreateSecret(resolve(config.DATA_DIR)));
  await writeDown(config, request);
  return signToken({ ...request, issuer: config.JWT_ISSUER, audience: config.JWT_AUDIENCE }, secret);
}

/** Whoever has the secret can sign tokens elsewhere, too: so where there is no gateway's directory, there is no log of them. */
async function writeDown(config: Config, { sub, scope, ttlSeconds, tier }: TokenRequest): Promise<void> {
  const dataDir = resolve(config.DATA_DIR);
  if (!config.AUDIT_LOG || !existsSync(dataDir)) return;
  try {
    const { recordMinted } = await import('../audit/minted.ts');
    const options = {
      dir: join(dataDir, 'audit'),
      gateway: instanceIdIn(dataDir),
      signer: await loadSigner(config, dataDir),
      maxBytes: config.AUDIT_MAX_BYTES,
      maxFiles: config.AUDIT_MAX_FILES,
    };
    await recordMinted(options, {
      action: 'token.mint',
      actor: `os:${userInfo().username}`,
      subject: sub,
      outcome: 'ok',
      detail: { scope, ttlSeconds, tier },
    });
  } catch (error) {
    const message = `the audit log in ${dataDir} cannot be written: ${messageOf(error)}`;
    if (config.AUDIT_FAIL_CLOSED) throw new Error(`No token was made: ${message}.`);
    process.stderr.write(`cronium: ${message}\n`);
  }
}

/**
 * Seconds of `90`, `90s`, `15m`, `1h`, `30d`.
 * @throws Error naming what was given
 */
export function parseTtl(text: string): number {
  const match = /^(\d{1,9})([smhd]?)$/.exec(text);
  const unit = { '': 1, s: 1, m: 60, h: 3_600, d: 86_400 }[match?.[2] ?? ''];
  const seconds = Number(match?.[1]) * (unit ?? Number.NaN);
  if (!(seconds > 0)) throw new Error(`--ttl: ${text} is no duration; write it as 90s, 15m, 1h or 30d.`);
  return seconds;
}
