import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { Client, type ClientOptions, withClientOptions } from './client.ts';

interface ReplayOptions extends ClientOptions {
  version?: string;
  alias?: string;
}

interface DiffOptions extends ClientOptions {
  version: string;
  last: string;
  compareTo?: string;
  ignore?: string[];
}

interface Change {
  before: unknown;
  after: unknown;
}

interface Comparison {
  verdict: string;
  status?: Change;
  statusCode?: Change;
  body?: { kind: string; paths?: (Partial<Change> & { path: string })[]; at?: number } & Partial<Change>;
}

interface ReplayView {
  id: string;
  status: 'running' | 'done';
  summary: Record<'total' | 'same' | 'different' | 'unknown', number> & {
    durationMs: { before: number | null; after: number | null };
  };
  items: { invocationId: string; comparison: Comparison | null }[];
}

const POLL_MS = 200;

export function replayCommand(): Command {
  const command = new Command('replay')
    .description('run a kept invocation again')
    .argument('<id>', 'the invocation')
    .option('--version <n>', 'on this version (default: its own)')
    .option('--alias <alias>', 'on what this alias points to');
  return withClientOptions(command).action(async (id: string, options: ReplayOptions) => {
    const client = await Client.of(options);
    const { version, alias } = options;
    const request = { version: version === undefined ? undefined : numberOf('--version', version), alias };
    const path = `/v1/invocations/${encodeURIComponent(id)}/replay`;
    const replayed = await client.json<{ id: string; event: string; version: number }>(path, post(request));
    process.stdout.write(`${replayed.id} ${replayed.event} version ${replayed.version}\n`);
  });
}

export function diffCommand(): Command {
  const command = new Command('diff')
    .description('run the last invocations of an event again on a version, and show what differs')
    .argument('<name>', 'the event')
    .requiredOption('--version <n>', 'the version to try')
    .option('--last <n>', 'how many of the latest invocations, up to 100', '20')
    .option('--compare-to <n>', 'compare with this version, run now, and not with what was answered then')
    .option('--ignore <pointer...>', 'JSON Pointers into bodies that may differ: /createdAt');
  return withClientOptions(command).action(async (name: string, options: DiffOptions) => {
    const client = await Client.of(options);
    const { compareTo, ignore } = options;
    const request = {
      version: numberOf('--version', options.version),
      last: numberOf('--last', options.last),
      compareTo: compareTo === undefined ? undefined : numberOf('--compare-to', compareTo),
      ignore,
    };
    const path = `/v1/events/${encodeURIComponent(name)}/replays`;
    let replay = await client.json<ReplayView>(path, post(request));
    while (replay.status === 'running') {
      await sleep(POLL_MS);
      replay = await client.json<ReplayView>(`/v1/replays/${replay.id}`);
    }
    print(replay);
    if (replay.summary.different > 0) process.exitCode = 1;
  });
}

function print({ summary, items }: ReplayView): void {
  const lines = items.flatMap(({ invocationId, comparison }) =>
    comparison === null || comparison.verdict === 'same' ? [] : linesOf(invocationId, comparison),
  );
  const { total, same, different, unknown, durationMs } = summary;
  const ms = (value: number | null) => (value === null ? '-' : value.toFixed(1));
  lines.push(
    `${total} run again: ${same} the same, ${different} different, ${unknown} unknown; ` +
      `median ${ms(durationMs.before)} ms before, ${ms(durationMs.after)} ms after`,
  );
  process.stdout.write(`${lines.join('\n')}\n`);
}

function linesOf(id: string, { verdict, status, statusCode, body }: Comparison): string[] {
  const lines = [`── ${id} ${verdict}`];
  const changed = (what: string, { before, after }: Partial<Change>) =>
    lines.push(`  ${what}: ${before ?? '(nothing)'} → ${after ?? '(nothing)'}`);
  if (status !== undefined) changed('status', status);
  if (statusCode !== undefined) changed('statusCode', statusCode);
  for (const each of body?.paths ?? []) changed(`body ${each.path}`, each);
  if (body?.kind === 'text') changed(`body from character ${body.at}`, body);
  if (body?.kind === 'binary') changed('bytes of the body', body);
  return lines;
}

const post = (body: unknown): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});

function numberOf(option: string, text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(value)) throw new Error(`${option}: ${text} is no number.`);
  return value;
}
