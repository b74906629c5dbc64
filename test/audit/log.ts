import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Chain, type ChainOptions } from '../../src/audit/chain.ts';
import type { AuditRecord, ChainName } from '../../src/audit/entry.ts';
import { type ChainReport, verifyAudit } from '../../src/audit/verify.ts';
import { createSigner, type Signer } from '../../src/signing.ts';
import { TempDir } from '../e2e/processes.ts';

export const signer: Signer = await createSigner(new Uint8Array(32).fill(7));

export function record(subject: string, over: Partial<AuditRecord> = {}): AuditRecord {
  return { action: 'event.deploy', actor: 'alice', subject, outcome: 'ok', ...over };
}

/** A log in a folder that is gone after the test. */
export class Log implements Disposable {
  readonly #dir = new TempDir();

  get dir(): string {
    return join(this.#dir.path, 'audit');
  }

  open(over: Partial<ChainOptions> = {}): Promise<Chain> {
    const options = { gateway: '0123456789ab', signer, maxBytes: 1e6, maxFiles: 3 };
    return Chain.open({ dir: this.dir, name: 'changes', ...options, ...over });
  }

  /** Writes so many entries, one after another, and signs them. */
  async write(count: number, over: Partial<ChainOptions> = {}): Promise<void> {
    await using chain = await this.open(over);
    for (let i = 0; i < count; i++) {
      await chain.append([{ record: record(`event-${chain.head.seq + 1}`), time: new Date() }]);
    }
  }

  /** Names of files that have entries, oldest first. */
  files(chain: ChainName = 'changes'): string[] {
    return readdirSync(this.dir)
      .filter((name) => name.startsWith(`${chain}-`) && name.endsWith('.jsonl'))
      .sort();
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  read(name: string): string {
    return readFileSync(this.path(name), 'utf8');
  }

  lines(name: string): string[] {
    return this.read(name).split('\n').slice(0, -1);
  }

  /** Changes the lines of a file, as somebody with an editor would. */
  edit(name: string, change: (lines: string[]) => string[]): void {
    writeFileSync(
      this.path(name),
      change(this.lines(name))
        .map((line) => `${line}\n`)
        .join(''),
    );
  }

  verify(): Promise<ChainReport[]> {
    return verifyAudit({ dir: this.dir, keySet: signer.keySet });
  }

  /** What is wrong with the only chain there is. */
  async faults(): Promise<ChainReport['faults']> {
    const reports = await this.verify();
    if (reports.length !== 1) throw new Error(`${reports.length} chains`);
    return reports[0]!.faults;
  }

  [Symbol.dispose](): void {
    this.#dir[Symbol.dispose]();
  }
}
