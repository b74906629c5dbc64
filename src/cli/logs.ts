import { Command } from 'commander';
import { messageOf } from '../errors.ts';
import { Client, type ClientOptions, withClientOptions } from './client.ts';
import { follow, type Page } from './follow.ts';

const PAGE_SIZE = 100;
/** What an invocation may take on top of its timeout, in the queue and with clocks that differ, ms. */
const SLACK_MS = 120_000;
/** The longest timeout there is, ms. */
const MAX_TIMEOUT_MS = 900_000;
/** A token made here is good for five minutes. */
const CLIENT_TTL_MS = 120_000;

interface LogsOptions extends ClientOptions {
  limit: string;
  follow?: boolean;
}

interface Item {
  id: string;
  status: string;
  start: string | null;
  statusCode: number | null;
  createdAt: string;
  phases: Record<string, number>;
  error: { code: string; message: string; trace?: string } | null;
  logs: string;
  logsTruncated: boolean;
}

export function logsCommand(): Command {
  const command = new Command('logs')
    .description('what the last invocations of an event printed, oldest first')
    .argument('<name>', 'the event')
    .option('-n, --limit <n>', 'how many invocations', '10')
    .option('-f, --follow', 'go on with those that end from now on, until Ctrl-C');
  return withClientOptions(command).action(logs);
}

async function logs(name: string, options: LogsOptions): Promise<void> {
  if (options.follow) return followLogs(name, options);
  const client = await Client.of(options);
  const query = new URLSearchParams({ limit: options.limit });
  const page = await client.json<{ items: Item[] }>(
    `/v1/events/${encodeURIComponent(name)}/invocations?${query}`,
  );
  for (const item of page.items.reverse()) process.stdout.write(render(item));
}

async function followLogs(name: string, options: LogsOptions): Promise<void> {
  const last = Number(options.limit);
  if (!Number.isInteger(last) || last < 0 || last > PAGE_SIZE) {
    throw new Error(`--limit: ${options.limit} is no whole number from 0 to ${PAGE_SIZE}.`);
  }
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, onSignal);
  const path = `/v1/events/${encodeURIComponent(name)}`;
  const clientOf = renewing(options);
  const { timeoutMs = MAX_TIMEOUT_MS } = await (await clientOf()).json<{ timeoutMs?: number }>(path);
  let troubled = '';
  await follow<Item>({
    last,
    longestMs: timeoutMs + SLACK_MS,
    signal: stop.signal,
    async fetchPage(cursor) {
      const query = new URLSearchParams({ limit: String(PAGE_SIZE), ...(cursor && { cursor }) });
      const client = await clientOf();
      const page = await client.json<Page<Item>>(`${path}/invocations?${query}`, { signal: stop.signal });
      troubled = '';
      return page;
    },
    print: (item) => process.stdout.write(render(item)),
    onTrouble(error) {
      const message = messageOf(error);
      if (message !== troubled) process.stderr.write(`cronium: ${message} (trying again)\n`);
      troubled = message;
    },
  });
}

/** A client whose token has not run out. */
function renewing(options: ClientOptions): () => Promise<Client> {
  let client: { of: Promise<Client>; until: number } | undefined;
  return () => {
    const now = performance.now();
    if (client === undefined || now > client.until)
      client = { of: Client.of(options), until: now + CLIENT_TTL_MS };
    return client.of;
  };
}

function render(item: Item): string {
  const ms = item.phases.exec === undefined ? '' : ` ${item.phases.exec.toFixed(1)} ms`;
  const lines = [
    `── ${item.createdAt} ${item.id} ${item.status} ${item.statusCode ?? '-'} ${item.start ?? '-'}${ms}`,
  ];
  if (item.logs !== '') lines.push(item.logs.replace(/\n$/, ''));
  if (item.logsTruncated) lines.push('… (cut at the limit)');
  if (item.error !== null) lines.push(`${item.error.code}: ${item.error.message}`);
  if (item.error?.trace !== undefined) lines.push(item.error.trace.replace(/\n$/, ''));
  return `${lines.join('\n')}\n`;
}
