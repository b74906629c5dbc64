import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm, truncate, writeFile } from 'node:fs/promises';
import type { Signer } from '../signing.ts';
import { type Checkpoint, checkpointFile, readCheckpoint, writeCheckpoint } from './checkpoint.ts';
import { type AuditRecord, type ChainName, type Link, linesAfter, START, type Timed } from './entry.ts';
import { type ChainFile, chainFile, findLink, linkOf, listChain, readContent } from './files.ts';

export interface ChainOptions {
  /** The folder of all chains; made when it is not there. */
  dir: string;
  name: ChainName;
  /** The instance that it belongs to. */
  gateway: string;
  signer: Signer;
  /** A file that is as large is followed by another one. */
  maxBytes: number;
  /** So many are kept. */
  maxFiles: number;
}

/** What was found wrong when a chain was opened. It becomes an entry, and stays one. */
export type Damage = AuditRecord & { action: 'audit.recovered' | 'audit.broken' };

/** One chain of entries, in files that only grow. It has one writer at a time. */
export class Chain implements AsyncDisposable {
  /** For whoever opened it to log, and to write down as the next entries. */
  readonly damages: readonly Damage[];
  readonly #options: ChainOptions;
  #files: ChainFile[];
  #anchor: Link;
  #head: Link;
  #signed: Link;
  #handle: FileHandle | undefined;
  /** Bytes of the newest file that are whole; an attempt that fails leaves what comes after to the next one. */
  #bytes: number;

  private constructor(options: ChainOptions, found: Found) {
    this.#options = options;
    this.#files = found.files;
    this.#anchor = found.anchor;
    this.#head = found.head;
    this.#signed = found.signed;
    this.#bytes = found.bytes;
    this.damages = found.damages;
  }

  /** Rejects when the folder cannot be read and written. */
  static async open(options: ChainOptions): Promise<Chain> {
    await mkdir(options.dir, { recursive: true, mode: 0o700 });
    const chain = new Chain(options, await look(options));
    // Signed before the first entry, so that entries without a checkpoint are never what a crash left.
    if (chain.#files.length === 0 && chain.#signed.seq === 0) await chain.#sign(chain.#head);
    return chain;
  }

  get head(): Link {
    return this.#head;
  }

  /** Writes records down, all or none: after a rejection they may be given again. They must be few enough for one file. */
  async append(records: readonly Timed[]): Promise<void> {
    const { name, maxBytes } = this.#options;
    const { text, last } = linesAfter(this.#head, name, records);
    const bytes = Buffer.from(text);
    if (this.#bytes > 0 && this.#bytes + bytes.byteLength > maxBytes) await this.#rotate();
    this.#handle ??= await this.#openNewest();
    await writeAll(this.#handle, bytes, this.#bytes);
    this.#bytes += bytes.byteLength;
    this.#head = last;
  }

  /** Signs how far the chain reaches, when all up to there is on the disk and not only in the system's memory. */
  async checkpoint(): Promise<void> {
    const head = this.#head;
    if (head.seq === this.#signed.seq) return;
    await this.#handle?.datasync();
    await this.#sign(head);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.checkpoint();
    } finally {
      await this.#handle?.close();
      this.#handle = undefined;
    }
  }

  async #sign(head: Link): Promise<void> {
    const { dir, name, gateway, signer } = this.#options;
    const time = new Date().toISOString();
    await writeCheckpoint(dir, { chain: name, gateway, anchor: this.#anchor, head, time }, signer);
    this.#signed = head;
  }

  async #openNewest(): Promise<FileHandle> {
    if (this.#files.length === 0) this.#startFile();
    // Not in the mode that always writes at the end: what a failed attempt left there is to be written over.
    return open(this.#files.at(-1)!.path, constants.O_RDWR | constants.O_CREAT, 0o600);
  }

  #startFile(): void {
    this.#files = [...this.#files, chainFile(this.#options.dir, this.#options.name, this.#head.seq + 1)];
    this.#bytes = 0;
  }

  async #rotate(): Promise<void> {
    await this.#handle?.datasync();
    await this.#handle?.close();
    this.#handle = undefined;
    this.#startFile();
    await this.#removeOldest();
  }

  /** Signs what is the oldest that is kept before the older ones go: whoever finds less than that knows. */
  async #removeOldest(): Promise<void> {
    const surplus = this.#files.slice(0, -this.#options.maxFiles);
    const oldest = this.#files[surplus.length]!;
    if (surplus.length === 0) return;
    const anchor = oldest.firstSeq === this.#head.seq + 1 ? this.#head : await lastBefore(oldest);
    if (anchor === undefined) return;
    this.#anchor = anchor;
    await this.#sign(this.#head);
    for (const { path } of surplus) await rm(path, { force: true });
    this.#files = this.#files.slice(surplus.length);
  }
}

interface Found {
  files: ChainFile[];
  anchor: Link;
  head: Link;
  signed: Link;
  bytes: number;
  damages: Damage[];
}

/** Finds the end of the chain, sets aside what was not written to its end, and holds what is there against what was signed. */
async function look(options: ChainOptions): Promise<Found> {
  const { dir, name, signer } = options;
  const damages: Damage[] = [];
  const { checkpoint, unreadable } = await lastCheckpoint(options);
  const anchor = checkpoint?.anchor ?? START;
  const files = await withoutRemoved(await listChain(dir, name), anchor);
  const { head, bytes } = await newest(files, anchor, damages);
  const found: Found = { files, anchor, head, signed: checkpoint?.head ?? START, bytes, damages };
  if (checkpoint === undefined) {
    if (head.seq > 0 || unreadable !== undefined) {
      const reason = unreadable ?? 'there is no checkpoint';
      damages.push(damage('audit.broken', name, { reason, signedBy: signer.kid }));
    }
    return found;
  }
  const { head: signed } = checkpoint;
  if (head.seq < signed.seq) {
    damages.push(
      damage('audit.broken', name, { reason: 'the end is missing', from: head.seq + 1, to: signed.seq }),
    );
    // The gap stays: what follows has the number and the hash of what was there.
    return { ...found, files: [...files, chainFile(dir, name, signed.seq + 1)], head: signed, bytes: 0 };
  }
  const there = signed.seq === anchor.seq ? anchor : await findLink(files, signed.seq);
  if (there?.hash !== signed.hash) {
    damages.push(
      damage('audit.broken', name, {
        reason: 'another entry was signed',
        seq: signed.seq,
        hash: signed.hash,
      }),
    );
  }
  return found;
}

async function lastCheckpoint(
  options: ChainOptions,
): Promise<{ checkpoint?: Checkpoint | undefined; unreadable?: string }> {
  const { dir, name, signer } = options;
  try {
    return { checkpoint: await readCheckpoint(dir, name, signer.keySet) };
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'CheckpointError') throw error;
    await rename(checkpointFile(dir, name), `${checkpointFile(dir, name)}.refused-${Date.now()}`);
    return { unreadable: error.message };
  }
}

/** Without files that a removal was to take away when the gateway died. */
async function withoutRemoved(files: ChainFile[], anchor: Link): Promise<ChainFile[]> {
  const at = files.findLastIndex(({ firstSeq }) => firstSeq <= anchor.seq + 1);
  const removed = files.slice(0, Math.max(at, 0));
  for (const { path } of removed) await rm(path, { force: true });
  return files.slice(removed.length);
}

/** The last entry there is. Files and lines after it that are none, as a crash leaves them, are set aside. */
async function newest(
  files: ChainFile[],
  anchor: Link,
  damages: Damage[],
): Promise<{ head: Link; bytes: number }> {
  for (let file = files.at(-1); file !== undefined; file = files.at(-1)) {
    const { bytes, wholeBytes, last } = await readContent(file.path);
    const torn = bytes.subarray(wholeBytes);
    if (torn.byteLength > 0) {
      const kept = `${file.path}.torn-${Date.now()}`;
      await writeFile(kept, torn, { mode: 0o600, flag: 'wx', flush: true });
      await truncate(file.path, wholeBytes);
      const detail = { file: file.name, bytes: torn.byteLength };
      damages.push(damage('audit.recovered', file.name.split('-')[0]!, detail));
    }
    if (last !== undefined) return { head: last, bytes: wholeBytes };
    await rm(file.path);
    files.pop();
  }
  return { head: anchor, bytes: 0 };
}

function damage(
  action: Damage['action'],
  subject: string,
  detail: NonNullable<AuditRecord['detail']>,
): Damage {
  return { action, actor: null, subject, outcome: action === 'audit.broken' ? 'failed' : 'ok', detail };
}

/** What the first entry of a file says of the one before it. */
async function lastBefore({ path, firstSeq }: ChainFile): Promise<Link | undefined> {
  const { bytes } = await readContent(path);
  const line = bytes.toString('utf8', 0, bytes.indexOf('\n'));
  if (linkOf(line)?.seq !== firstSeq) return undefined;
  const { prev } = JSON.parse(line) as { prev: string };
  return { seq: firstSeq - 1, hash: prev };
}

async function writeAll(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.byteLength - done, position + done);
    done += bytesWritten;
  }
}
