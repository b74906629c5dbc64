import { text } from 'node:stream/consumers';
import { Command } from 'commander';
import { Client, type ClientOptions, describeProblem, withClientOptions } from './client.ts';

const PAGE_SIZE = 100;

interface Page {
  items: { name: string; bytes: number; updatedAt: string }[];
  nextCursor: string | null;
}

export function variableCommand(): Command {
  const command = new Command('variable').description('what functions keep for later calls, by name');
  const sub = (name: string, description: string) =>
    withClientOptions(command.command(name).description(description));
  sub('list', 'names, sizes and times, sorted by name').action(list);
  sub('get', 'the value, as JSON').argument('<name>', 'the variable').action(get);
  sub('set', 'set it to a JSON value; what is no JSON is a text')
    .argument('<name>', 'the variable')
    .argument('[value]', 'the value; without it, standard input')
    .action(set);
  sub('delete', 'remove it').argument('<name>', 'the variable').action(remove);
  return command;
}

const pathOf = (name: string) => `/v1/variables/${encodeURIComponent(name)}`;

async function list(options: ClientOptions): Promise<void> {
  const client = await Client.of(options);
  let cursor: string | null = null;
  do {
    const query = new URLSearchParams({ limit: String(PAGE_SIZE), ...(cursor !== null && { cursor }) });
    const page: Page = await client.json<Page>(`/v1/variables?${query}`);
    for (const { name, bytes, updatedAt } of page.items)
      process.stdout.write(`${updatedAt} ${String(bytes).padStart(6)} ${name}\n`);
    cursor = page.nextCursor;
  } while (cursor !== null);
}

async function get(name: string, options: ClientOptions): Promise<void> {
  const response = await demand(await Client.of(options), name);
  process.stdout.write(`${await response.text()}\n`);
}

async function set(name: string, value: string | undefined, options: ClientOptions): Promise<void> {
  const client = await Client.of(options);
  const body = asJson(value ?? (await text(process.stdin)));
  const headers = { 'content-type': 'application/json' };
  await demand(client, name, { method: 'PUT', headers, body });
}

async function remove(name: string, options: ClientOptions): Promise<void> {
  await demand(await Client.of(options), name, { method: 'DELETE' });
}

/** @throws Error with what the gateway said against it */
async function demand(client: Client, name: string, init?: RequestInit): Promise<Response> {
  const response = await client.fetch(pathOf(name), init);
  if (!response.ok) throw new Error(await describeProblem(response));
  return response;
}

function asJson(value: string): string {
  try {
    JSON.parse(value);
    return value;
  } catch {
    return JSON.stringify(value);
  }
}
