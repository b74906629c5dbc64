import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CHAINS, type ChainName, type Link } from './entry.ts';

const DIGITS = 12;
const NAME = new RegExp(`^(${CHAINS.join('|')})-(\\d{${DIGITS}})\\.jsonl$`);
const LF = 0x0a;

/** A file of a chain, named after the number of its first entry. */
export interface ChainFile {
  path: string;
  name: string;
  firstSeq: number;
}

export function chainFile(dir: string, chain: ChainName, firstSeq: number): ChainFile {
  const name = `${chain}-${String(firstSeq).padStart(DIGITS, '0')}.jsonl`;
  return { path: join(dir, name), name, firstSeq };
}

/** The files of a chain, oldest first. */
export async function listChain(dir: string, chain: ChainName): Promise<ChainFile[]> {
  const numbers = (await readdir(dir)).flatMap((name) => {
    const [, of, first] = NAME.exec(name) ?? [];
    return of === chain ? [Number(first)] : [];
  });
  return numbers.sort((a, b) => a - b).map((first) => chainFile(dir, chain, first));
}

/** What is in a file: its lines that look like entries, and how many bytes they take from its beginning. */
export interface Content {
  bytes: Buffer;
  /** Up to the end of the last line that is an entry; what comes after was never written to its end. */
  wholeBytes: number;
  last: Link | undefined;
}

/** Reads a file as whoever goes on with it needs it: from its end. */
export async function readContent(path: string): Promise<Content> {
  const bytes = await readFile(path);
  let end = bytes.lastIndexOf(LF) + 1;
  while (end > 0) {
    const begin = end < 2 ? 0 : bytes.lastIndexOf(LF, end - 2) + 1;
    const last = linkOf(bytes.toString('utf8', begin, end));
    if (last !== undefined) return { bytes, wholeBytes: end, last };
    end = begin;
  }
  return { bytes, wholeBytes: 0, last: undefined };
}

/** The place in the chain that a line says it has. */
export function linkOf(line: string): Link | undefined {
  try {
    const { seq, hash } = JSON.parse(line) as Partial<Link>;
    if (!Number.isSafeInteger(seq) || !/^[0-9a-f]{64}$/.test(String(hash))) return undefined;
    return { seq: seq!, hash: hash! };
  } catch {
    return undefined;
  }
}

/** The place of an entry in a chain, if it is there. */
export async function findLink(files: readonly ChainFile[], seq: number): Promise<Link | undefined> {
  const file = files.findLast(({ firstSeq }) => firstSeq <= seq);
  if (file === undefined) return undefined;
  const lines = (await readFile(file.path, 'utf8')).split('\n');
  const near = linkOf(lines[seq - file.firstSeq] ?? '');
  return near?.seq === seq ? near : undefined;
}
