import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { lockFile } from '../file-lock.ts';
import type { Signer } from '../signing.ts';
import { Chain } from './chain.ts';
import type { AuditRecord } from './entry.ts';

/** How long another process that mints may take, ms. */
const LOCK_TIMEOUT_MS = 10_000;

export interface MintedOptions {
  dir: string;
  gateway: string;
  signer: Signer;
  maxBytes: number;
  maxFiles: number;
}

/**
 * Writes down, to the disk, that a token was minted. Any process may do so, beside a gateway too: this chain has a lock.
 * Rejects when it cannot be written.
 */
export async function recordMinted(options: MintedOptions, record: AuditRecord): Promise<void> {
  await mkdir(options.dir, { recursive: true, mode: 0o700 });
  using _lock = lockFile(join(options.dir, 'tokens.lock'), LOCK_TIMEOUT_MS);
  await using chain = await Chain.open({ ...options, name: 'tokens' });
  const records = [...chain.damages, record].map((each) => ({ record: each, time: new Date() }));
  await chain.append(records);
}
