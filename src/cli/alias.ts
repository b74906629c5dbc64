import { Command } from 'commander';
import { Client, type ClientOptions, describeProblem, withClientOptions } from './client.ts';

interface AliasOptions extends ClientOptions {
  version?: string;
  split?: string;
  remove?: boolean;
}

interface AliasView {
  name: string;
  url: string;
  version: number;
  weights: Record<string, number>;
}

export function aliasCommand(): Command {
  const command = new Command('alias')
    .description('point a name to a version of an event, so that it can be called by that name')
    .argument('<name>', 'the event')
    .argument('[alias]', 'the alias, such as live or canary; without it, all are listed')
    .option('--version <n>', 'the version to point it to')
    .option('--split <n=share>', 'another version and its share of the calls, between 0 and 1: 3=0.1')
    .option('--remove', 'remove the alias');
  return withClientOptions(command).action(alias);
}

async function alias(name: string, alias: string | undefined, options: AliasOptions): Promise<void> {
  const client = await Client.of(options);
  const all = `/v1/events/${encodeURIComponent(name)}/aliases`;
  const { version, split, remove } = options;
  if (alias === undefined) {
    if (version !== undefined || split !== undefined || remove) {
      throw new Error('Name the alias, too: cronium alias <name> <alias> …');
    }
    const { items } = await client.json<{ items: AliasView[] }>(all);
    for (const item of items) print(item);
    return;
  }
  const one = `${all}/${encodeURIComponent(alias)}`;
  if (remove) {
    const response = await client.fetch(one, { method: 'DELETE' });
    if (!response.ok) throw new Error(await describeProblem(response));
  } else if (version === undefined) {
    if (split !== undefined) throw new Error('--split needs --version, which gets the rest of the calls.');
    print(await client.json<AliasView>(one));
  } else {
    const weights = split === undefined ? {} : weightOf(split);
    const body = JSON.stringify({ version: numberOf('--version', version), weights });
    const headers = { 'content-type': 'application/json' };
    print(await client.json<AliasView>(one, { method: 'PUT', headers, body }));
  }
}

function weightOf(text: string): Record<string, number> {
  const [version, share, ...rest] = text.split('=');
  if (version === undefined || share === undefined || rest.length > 0) {
    throw new Error(`--split ${text}: write it as version=share, such as 3=0.1.`);
  }
  return { [numberOf('--split', version)]: numberOf('--split', share) };
}

function numberOf(option: string, text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(value)) throw new Error(`${option}: ${text} is no number.`);
  return value;
}

function print({ name, url, version, weights }: AliasView): void {
  const shares = Object.entries(weights).map(
    ([other, weight]) => `, ${weight} of the calls: version ${other}`,
  );
  process.stdout.write(`${name} version ${version}${shares.join('')}: ${url}\n`);
}
