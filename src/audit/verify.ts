import { open } from 'node:fs/promises';
import type { JSONWebKeySet } from 'jose';
import { canonicalJson } from './canonical-json.ts';
import { type Checkpoint, CheckpointError, readCheckpoint } from './checkpoint.ts';
import { type AuditEntry, CHAINS, type ChainName, hashOf, type Link, START } from './entry.ts';
import { type ChainFile, linkOf, listChain } from './files.ts';

export type FaultCode =
  /** A line is no entry, or not written as one is. */
  | 'not_an_entry'
  /** An entry is not what its hash was made of. */
  | 'edited'
  /** An entry does not follow the one before it: something was removed, inserted or put in another place. */
  | 'broken_link'
  /** The oldest entry is not the first, and does not follow what was removed by age either. */
  | 'beginning_missing'
  /** The newest entry is older than the one that was signed. */
  | 'end_missing'
  /** Another entry was signed than the one that has its number. */
  | 'not_the_signed_one'
  /** There is no signature that holds. */
  | 'unsigned'
  /** The gateway itself found the chain damaged when it started. */
  | 'found_broken'
  /** Entries were lost because the disk did not take them. */
  | 'lost'
  /** What somebody kept elsewhere of the chain is not in it. */
  | 'not_as_expected';

export interface ChainFault {
  code: FaultCode;
  message: string;
  /** The file's name, where there is one. */
  file?: string;
  /** From 1. */
  line?: number;
}

export interface ChainReport {
  chain: ChainName;
  files: number;
  entries: number;
  first: number | null;
  head: Link | null;
  /** How far the signature reaches. */
  signed: { seq: number; hash: string; time: string } | null;
  /** The last entry that was removed because there were too many files. */
  removedUpTo: number;
  faults: ChainFault[];
  /** What is no fault: a line that is being written, or was when the gateway was killed. */
  notes: string[];
}

export interface VerifyOptions {
  dir: string;
  keySet: JSONWebKeySet;
  /** Entries that must be there, as an earlier report or the gateway's log told them. */
  expected?: readonly { chain: ChainName; link: Link }[];
}

const MAX_FAULTS = 100;
const ATTEMPTS = 3;
const LF = 0x0a;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Verifies every chain in a folder. It may be done while the gateway writes. Rejects when the folder cannot be read. */
export async function verifyAudit(options: VerifyOptions): Promise<ChainReport[]> {
  const reports: ChainReport[] = [];
  for (const chain of CHAINS) {
    const report = await verifyChain(chain, options);
    if (report !== undefined) reports.push(report);
  }
  return reports;
}

async function verifyChain(chain: ChainName, options: VerifyOptions): Promise<ChainReport | undefined> {
  for (let attempt = 1; ; attempt++) {
    try {
      // Before the entries: they may grow while they are read, and the signature must not be ahead of them.
      const signed = await signatureOf(chain, options);
      const files = await listChain(options.dir, chain);
      if (files.length === 0 && signed.checkpoint === undefined && signed.fault === undefined)
        return undefined;
      return await new Verification(chain, options, signed).read(files);
    } catch (error) {
      // The gateway has removed its oldest file meanwhile.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || attempt === ATTEMPTS) throw error;
    }
  }
}

interface Signature {
  checkpoint?: Checkpoint | undefined;
  fault?: ChainFault;
}

async function signatureOf(chain: ChainName, { dir, keySet }: VerifyOptions): Promise<Signature> {
  const file = `${chain}.checkpoint`;
  try {
    return { checkpoint: await readCheckpoint(dir, chain, keySet) };
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    const message = `the checkpoint does not hold: ${error.message}`;
    return { fault: { code: 'unsigned', message, file } };
  }
}

class Verification {
  readonly #chain: ChainName;
  readonly #expected: Map<number, string>;
  readonly #checkpoint: Checkpoint | undefined;
  readonly #faults: ChainFault[] = [];
  readonly #notes: string[] = [];
  #before: Link | undefined;
  #first: number | null = null;
  #entries = 0;
  #signedSeen = false;

  constructor(chain: ChainName, options: VerifyOptions, { checkpoint, fault }: Signature) {
    this.#chain = chain;
    this.#checkpoint = checkpoint;
    const expected = (options.expected ?? []).filter((each) => each.chain === chain);
    this.#expected = new Map(expected.map(({ link }) => [link.seq, link.hash]));
    if (fault !== undefined) this.#faults.push(fault);
    else if (checkpoint === undefined)
      this.#fault('unsigned', 'there is no checkpoint', { file: `${chain}.checkpoint` });
  }

  async read(files: readonly ChainFile[]): Promise<ChainReport> {
    const kept = this.#kept(files);
    for (const file of kept) await this.#readFile(file, file === kept.at(-1));
    this.#checkEnd(kept.at(-1)?.name);
    const { head, anchor, time } = this.#checkpoint ?? {};
    return {
      chain: this.#chain,
      files: kept.length,
      entries: this.#entries,
      first: this.#first,
      head: this.#before ?? null,
      signed: head === undefined ? null : { ...head, time: time! },
      removedUpTo: anchor?.seq ?? 0,
      faults: this.#faults,
      notes: this.#notes,
    };
  }

  /** Without those whose removal has been signed already. */
  #kept(files: readonly ChainFile[]): readonly ChainFile[] {
    const anchor = this.#anchor.seq;
    const at = files.findLastIndex(({ firstSeq }) => firstSeq <= anchor + 1);
    return files.slice(Math.max(at, 0));
  }

  get #anchor(): Link {
    return this.#checkpoint?.anchor ?? START;
  }

  async #readFile(file: ChainFile, isNewest: boolean): Promise<void> {
    let line = 0;
    for await (const { bytes, whole } of linesOf(file.path)) {
      line++;
      const at = { file: file.name, line };
      if (!whole && isNewest) {
        this.#notes.push(`${file.name}:${line} is not written to its end`);
        return;
      }
      const entry = whole ? entryOf(bytes) : undefined;
      if (entry === undefined) this.#fault('not_an_entry', 'this is no entry of an audit log', at);
      else this.#check(entry, at, line === 1 ? file.firstSeq : undefined);
    }
  }

  #check(entry: AuditEntry, at: { file: string; line: number }, named: number | undefined): void {
    const { seq, prev, hash: given, ...rest } = entry;
    const real = hashOf({ ...rest, seq, prev });
    this.#entries++;
    this.#first ??= seq;
    if (given !== real) this.#fault('edited', `entry ${seq} is not what its hash was made of`, at);
    this.#checkLink(entry, at);
    if (named !== undefined && named !== seq)
      this.#fault('broken_link', `the file should begin with entry ${named} and begins with ${seq}`, at);
    if (seq === this.#checkpoint?.head.seq) {
      this.#signedSeen = true;
      if (real !== this.#checkpoint.head.hash)
        this.#fault('not_the_signed_one', `another entry ${seq} was signed`, at);
    }
    const expected = this.#expected.get(seq);
    if (expected === real) this.#expected.delete(seq);
    if (entry.action === 'audit.broken')
      this.#fault('found_broken', `the gateway found the log damaged: ${canonicalJson(entry.detail)}`, at);
    if (entry.action === 'audit.lost')
      this.#fault('lost', `entries were lost: ${canonicalJson(entry.detail)}`, at);
    // What follows is held against what stands here, so that one edit is one fault.
    this.#before = { seq, hash: given };
  }

  #checkLink({ chain, seq, prev }: AuditEntry, at: { file: string; line: number }): void {
    const before = this.#before ?? this.#anchor;
    if (seq === before.seq + 1 && prev === before.hash && chain === this.#chain) return;
    if (this.#before !== undefined || chain !== this.#chain) {
      const found = chain === this.#chain ? `entry ${seq}` : `an entry of the chain ${chain}`;
      this.#fault('broken_link', `${found} does not follow entry ${before.seq}`, at);
    } else if (this.#checkpoint !== undefined || seq === 1) {
      this.#fault('beginning_missing', `entry ${seq} is the oldest, and ${before.seq + 1} should be`, at);
    }
  }

  #checkEnd(file: string | undefined): void {
    const at = file === undefined ? {} : { file };
    const head = this.#before?.seq ?? this.#anchor.seq;
    const signed = this.#checkpoint?.head;
    if (signed !== undefined && signed.seq > head) {
      this.#fault('end_missing', `entry ${signed.seq} was signed, and the last one is ${head}`, at);
    } else if (signed !== undefined && !this.#signedSeen && signed.seq > this.#anchor.seq) {
      this.#fault('not_the_signed_one', `entry ${signed.seq} was signed and is not there`, at);
    }
    for (const seq of this.#expected.keys())
      this.#fault('not_as_expected', `entry ${seq} is not there with the hash that was expected`, at);
  }

  #fault(code: FaultCode, message: string, at: { file?: string; line?: number }): void {
    if (this.#faults.length < MAX_FAULTS) this.#faults.push({ code, message, ...at });
  }
}

/** Written in the one way there is, so that nobody can read another thing in it: a member twice, for one. */
function entryOf(line: Uint8Array): AuditEntry | undefined {
  try {
    const text = UTF8.decode(line);
    if (linkOf(text) === undefined) return undefined;
    const entry = JSON.parse(text) as AuditEntry;
    return canonicalJson(entry) === text ? entry : undefined;
  } catch {
    return undefined;
  }
}

/** Lines by LF alone, and whether they have one. */
async function* linesOf(path: string): AsyncGenerator<{ bytes: Uint8Array; whole: boolean }> {
  await using file = await open(path, 'r');
  let rest = Buffer.alloc(0);
  for await (const chunk of file.createReadStream({ autoClose: false })) {
    const joined = Buffer.concat([rest, chunk as Buffer]);
    let begin = 0;
    for (let end = joined.indexOf(LF); end >= 0; end = joined.indexOf(LF, begin)) {
      yield { bytes: joined.subarray(begin, end), whole: true };
      begin = end + 1;
    }
    rest = joined.subarray(begin);
  }
  if (rest.byteLength > 0) yield { bytes: rest, whole: false };
}
