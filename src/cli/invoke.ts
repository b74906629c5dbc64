import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { Command } from 'commander';
import { messageOf } from '../errors.ts';
import { Client, type ClientOptions, describeProblem, withClientOptions } from './client.ts';

interface InvokeOptions extends ClientOptions {
  data?: string;
  method?: string;
  cold?: boolean;
  async?: boolean;
  verbose?: boolean;
}

export function invokeCommand(): Command {
  const command = new Command('invoke')
    .description('call an event and print its answer')
    .argument('<name>', 'the event; a path and query may follow: hello/a?b=c')
    .option('-d, --data <body>', 'the body; @file reads a file, @- standard input')
    .option('-X, --method <method>', 'the HTTP method (default: POST with a body, else GET)')
    .option('--cold', 'boot a sandbox for this call')
    .option('--async', 'do not wait: store the call, and print the id by which its result is found')
    .option('-v, --verbose', 'how it was started and where the time went, on standard error');
  return withClientOptions(command).action(invoke);
}

async function invoke(name: string, options: InvokeOptions): Promise<void> {
  const client = await Client.of(options);
  const body = await readBody(options.data);
  const headers: Record<string, string> = options.cold ? { 'x-cronium-start': 'cold' } : {};
  if (options.async) headers.prefer = 'respond-async';
  if (body !== undefined) headers['content-type'] = looksLikeJson(body) ? 'application/json' : 'text/plain';
  const response = await client.fetch(`/e/${name}`, {
    method: options.method ?? (body === undefined ? 'GET' : 'POST'),
    headers,
    // A redirect is an answer, too.
    redirect: 'manual',
    ...(body !== undefined && { body }),
  });
  if (options.verbose) {
    const names = [
      'x-cronium-invocation-id',
      'x-cronium-start',
      'x-cronium-isolation',
      'x-cronium-security-level',
      'server-timing',
    ];
    for (const header of names) process.stderr.write(`${header}: ${response.headers.get(header) ?? '-'}\n`);
  }
  if (response.headers.get('content-type')?.startsWith('application/problem+json')) {
    throw new Error(await describeProblem(response));
  }
  if (response.body !== null) await print(response.body);
  if (!response.ok) process.exitCode = 1;
}

/** As it arrives, and in step with whoever reads it. */
async function print(body: ReadableStream<Uint8Array>): Promise<void> {
  const reader = body.getReader();
  const closed = new Promise<'closed'>((resolve) => process.stdout.once('error', () => resolve('closed')));
  for (;;) {
    const next = await reader.read().catch(() => {
      throw new Error('The answer was cut off: what was printed is only its beginning.');
    });
    if (next.done) return;
    if (process.stdout.write(next.value)) continue;
    // Whoever stops reading, as `head` does, has had enough: no fault.
    const drained = once(process.stdout, 'drain').catch(() => 'closed');
    if ((await Promise.race([drained, closed])) === 'closed') return reader.cancel();
  }
}

async function readBody(data: string | undefined): Promise<Buffer<ArrayBuffer> | undefined> {
  if (data === undefined) return undefined;
  if (data === '@-') return Buffer.from(await buffer(process.stdin));
  if (!data.startsWith('@')) return Buffer.from(data);
  const read = await readFile(data.slice(1)).catch((error) => {
    throw new Error(`-d ${data}: the file cannot be read: ${messageOf(error)}`);
  });
  return Buffer.from(read);
}

function looksLikeJson(body: Buffer): boolean {
  try {
    JSON.parse(body.toString('utf8'));
    return true;
  } catch {
    return false;
  }
}
