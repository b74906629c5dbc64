import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { JSONWebKeySet } from 'jose';
import { z } from 'zod';
import { type Signer, verifySigned } from '../signing.ts';
import { CHAINS, type ChainName, type Link } from './entry.ts';

const TYPE = 'cronium-audit-checkpoint+jws';

const link = z.strictObject({ seq: z.int().min(0), hash: z.string().regex(/^[0-9a-f]{64}$/) });
const schema = z.object({
  chain: z.enum(CHAINS),
  gateway: z.string(),
  anchor: link,
  head: link,
  time: z.iso.datetime(),
});

/** How far a chain reached, signed: what is there afterwards can be held against it. */
export interface Checkpoint {
  chain: ChainName;
  /** The instance in whose DATA_DIR the chain is. */
  gateway: string;
  /** The last entry that was removed when there were too many files; the oldest that is kept follows it. */
  anchor: Link;
  /** The newest entry when this was signed. */
  head: Link;
  time: string;
}

/** The file is there and is no checkpoint of the key that it should be of. */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
}

export function checkpointFile(dir: string, chain: ChainName): string {
  return join(dir, `${chain}.checkpoint`);
}

/**
 * `undefined` when there is none.
 * @throws CheckpointError when it is not what one of the keys has signed of this chain
 */
export async function readCheckpoint(
  dir: string,
  chain: ChainName,
  keySet: JSONWebKeySet,
): Promise<Checkpoint | undefined> {
  let text: string;
  try {
    text = await readFile(checkpointFile(dir, chain), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const checkpoint = schema.parse(await verifySigned(text.trim(), TYPE, keySet));
    if (checkpoint.chain !== chain) throw new Error(`it is of the chain ${checkpoint.chain}`);
    return checkpoint;
  } catch (cause) {
    const reason = cause instanceof z.ZodError ? 'it says nothing of a chain' : (cause as Error).message;
    throw new CheckpointError(reason, { cause });
  }
}

/** Puts it in the place of the one before, whole or not at all. */
export async function writeCheckpoint(dir: string, checkpoint: Checkpoint, signer: Signer): Promise<void> {
  const path = checkpointFile(dir, checkpoint.chain);
  const draft = `${path}.new`;
  const signed = await signer.sign(checkpoint, TYPE);
  {
    await using file = await open(draft, 'w', 0o600);
    await file.writeFile(`${signed}\n`);
    await file.datasync();
  }
  await rename(draft, path);
}
