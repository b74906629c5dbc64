import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { Command } from 'commander';
import type { Receipt } from '../receipts/receipt.ts';
import { configWithoutEngines } from './config.ts';
import { keySetFrom } from './key-set.ts';

interface VerifyReceiptOptions {
  jwks?: string;
  code?: string;
  output?: string;
}

export function receiptCommand(): Command {
  const verify = new Command('verify')
    .description('whether a receipt is the gateway’s, and what it says')
    .argument('<file>', 'the receipt, as its header or the API gave it; - reads standard input')
    .option(
      '--jwks <file>',
      'the public keys: a file or URL (default: of the key in DATA_DIR or SIGNING_KEY)',
    )
    .option('--code <file>', 'the code that must have run')
    .option('--output <file>', 'the body that must have been answered')
    .action(verifyReceipt);
  return new Command('receipt').description('receipts of invocations').addCommand(verify);
}

async function verifyReceipt(file: string, options: VerifyReceiptOptions): Promise<void> {
  const [{ verifySigned }, { RECEIPT_TYPE, receiptSchema }] = await Promise.all([
    import('../signing.ts'),
    import('../receipts/receipt.ts'),
  ]);
  const jws = file === '-' ? await text(process.stdin) : await readFile(file, 'utf8');
  const keySet = await keySetFrom(options.jwks, configWithoutEngines());
  const receipt = receiptSchema.parse(await verifySigned(jws.trim(), RECEIPT_TYPE, keySet));
  await demandHash(options, 'code', receipt, 'codeSha256');
  await demandHash(options, 'output', receipt, 'outputSha256');
  process.stdout.write(`${JSON.stringify(receipt, null, 2)}\n`);
}

async function demandHash(
  options: VerifyReceiptOptions,
  option: 'code' | 'output',
  receipt: Receipt,
  member: 'codeSha256' | 'outputSha256',
): Promise<void> {
  const file = options[option];
  if (file === undefined) return;
  const found = createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
  if (found !== receipt[member])
    throw new Error(`--${option} ${file} is not what the receipt is of: ${found} and not ${receipt[member]}`);
}
