import { resolve } from 'node:path';
import type { Config } from '../config.ts';
import { loadOrCreateSecret } from '../http/key-files.ts';
import { signToken } from '../http/tokens.ts';

/** The user that demo events and the command line act as, unless told otherwise. */
export const LOCAL_USER = 'local';
export const ALL_SCOPES = 'events:read events:write events:invoke bench';

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
  return signToken({ ...request, issuer: config.JWT_ISSUER, audience: config.JWT_AUDIENCE }, secret);
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
