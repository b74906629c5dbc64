import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from './errors.ts';
import { lockFile } from './file-lock.ts';

/** DATA_DIR cannot be used; the message has the remedy. */
export class DataDirError extends Error {
  override readonly name = 'DataDirError';
}

/** A gateway's own directory, held by this process alone. */
export interface DataDir extends Disposable {
  readonly path: string;
  /** Marks what this gateway makes outside: the same over restarts, another for every DATA_DIR. 12 hex digits. */
  readonly instanceId: string;
}

/**
 * Makes the directory if need be and holds it until disposed: a second gateway in it would sweep away the first one's sandboxes.
 * @throws DataDirError when it cannot be written or another gateway holds it
 */
export function openDataDir(path: string): DataDir {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new DataDirError(`DATA_DIR: ${path} cannot be made: ${messageOf(error)}.`);
  }
  const lock = acquireLock(path);
  try {
    return { path, instanceId: instanceIdIn(path), [Symbol.dispose]: () => lock[Symbol.dispose]() };
  } catch (error) {
    lock[Symbol.dispose]();
    throw new DataDirError(`DATA_DIR: ${path} cannot be written: ${messageOf(error)}.`);
  }
}

function acquireLock(path: string): Disposable {
  try {
    return lockFile(join(path, 'lock'));
  } catch (error) {
    const reason = messageOf(error);
    if (reason.includes('locked')) throw new DataDirError(`DATA_DIR: another gateway runs in ${path}.`);
    throw new DataDirError(`DATA_DIR: ${path} cannot be written: ${reason}.`);
  }
}

/** The instance of a directory, made if need be. */
export function instanceIdIn(path: string): string {
  const file = join(path, 'instance-id');
  try {
    const id = readFileSync(file, 'utf8').trim();
    if (/^[0-9a-f]{12}$/.test(id)) return id;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const id = randomBytes(6).toString('hex');
  writeFileSync(file, `${id}\n`, { mode: 0o600 });
  return id;
}
