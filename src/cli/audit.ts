import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { CHAINS, type ChainName, type Link } from '../audit/entry.ts';
import type { ChainReport } from '../audit/verify.ts';
import { configWithoutEngines } from './config.ts';
import { keySetFrom } from './key-set.ts';

interface VerifyCommandOptions {
  json?: boolean;
  dir?: string;
  jwks?: string;
  expect: { chain: ChainName; link: Link }[];
}

export function auditCommand(): Command {
  const verify = new Command('verify')
    .description('whether the audit log is whole and as it was written')
    .argument('[dir]', 'the log (default: audit in DATA_DIR)')
    .option(
      '--jwks <file>',
      'the public keys: a file or URL (default: of the key in DATA_DIR or SIGNING_KEY)',
    )
    .option('--expect <chain:seq:hash>', 'an entry that must be in it; may be given again', collect, [])
    .option('--json', 'as JSON')
    .action((dir: string | undefined, options: VerifyCommandOptions) => verifyLog(dir, options));
  return new Command('audit').description('the audit log').addCommand(verify);
}

async function verifyLog(given: string | undefined, options: VerifyCommandOptions): Promise<void> {
  const { verifyAudit } = await import('../audit/verify.ts');
  const config = configWithoutEngines();
  const dataDir = resolve(config.DATA_DIR);
  const dir = given === undefined ? join(dataDir, 'audit') : resolve(given);
  if (!existsSync(dir)) throw new Error(`There is no audit log at ${dir}.`);
  const keySet = await keySetFrom(options.jwks, config);
  const reports = await verifyAudit({ dir, keySet, expected: options.expect });
  if (reports.length === 0) throw new Error(`There is no audit log at ${dir}.`);
  const ok = reports.every(({ faults }) => faults.length === 0);
  process.stdout.write(
    options.json ? `${JSON.stringify({ ok, chains: reports }, null, 2)}\n` : reports.map(render).join(''),
  );
  process.exitCode = ok ? 0 : 1;
}

function render({ chain, files, entries, first, head, signed, faults, notes }: ChainReport): string {
  const mark = faults.length === 0 ? '✔' : '✘';
  const lines = [
    `${mark} ${chain}: ${entries} entries in ${files} ${files === 1 ? 'file' : 'files'}` +
      (head === null ? '' : `, from ${first} to ${head.seq}; signed up to ${signed?.seq ?? '-'}`),
    ...(head === null ? [] : [`    head: ${chain}:${head.seq}:${head.hash}`]),
    ...faults.map(({ code, message, file, line }) => {
      const place = file === undefined ? '' : `${file}${line === undefined ? '' : `:${line}`}: `;
      return `    ${place}${message} (${code})`;
    }),
    ...notes.map((note) => `    note: ${note}`),
  ];
  return `${lines.join('\n')}\n`;
}

function collect(text: string, all: VerifyCommandOptions['expect']): VerifyCommandOptions['expect'] {
  const [, chain, seq, hash] = /^(\w+):(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? [];
  if (!CHAINS.includes(chain as ChainName))
    throw new Error(`--expect: ${text}: write it as verify prints it: ${CHAINS[0]}:<seq>:<hash>.`);
  return [...all, { chain: chain as ChainName, link: { seq: Number(seq), hash: hash! } }];
}
