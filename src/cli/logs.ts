import { Command } from 'commander';
import { Client, type ClientOptions, withClientOptions } from './client.ts';

interface LogsOptions extends ClientOptions {
  limit: string;
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
    .option('-n, --limit <n>', 'how many invocations', '10');
  return withClientOptions(command).action(logs);
}

async function logs(name: string, options: LogsOptions): Promise<void> {
  const client = await Client.of(options);
  const query = new URLSearchParams({ limit: options.limit });
  const page = await client.json<{ items: Item[] }>(
    `/v1/events/${encodeURIComponent(name)}/invocations?${query}`,
  );
  for (const item of page.items.reverse()) process.stdout.write(render(item));
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
