import { readFile } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import { Command } from 'commander';
import { AUTH_MODES, RUNTIMES, type Runtime } from '../core/event.ts';
import { MIN_ISOLATIONS } from '../core/isolation.ts';
import { messageOf } from '../errors.ts';
import { Client, type ClientOptions, describeProblem, withClientOptions } from './client.ts';
import { authOf, type WebhookOptions, withWebhookOptions } from './webhook-options.ts';

const RUNTIME_OF: Readonly<Record<string, Runtime>> = {
  '.py': 'python',
  '.js': 'nodejs',
  '.mjs': 'nodejs',
  '.cjs': 'nodejs',
  '.ts': 'nodejs',
  '.mts': 'nodejs',
  '.sh': 'bash',
  '.bash': 'bash',
};

interface DeployOptions extends ClientOptions, WebhookOptions {
  name?: string;
  runtime?: Runtime;
  description?: string;
  timeout?: number;
  memory?: number;
  cpus?: number;
  minIsolation?: string;
  env: Record<string, string>;
  secret: Record<string, string>;
}

interface Deployed {
  name: string;
  version: number;
  url: string;
}

export function deployCommand(): Command {
  const command = new Command('deploy')
    .description('deploy a file as an event: a new one, or a new version of it')
    .argument('<file>', 'the source: .py, .js, .mjs, .cjs, .ts, .mts, .sh or .bash')
    .option('--name <name>', 'the event (default: the name of the file)')
    .option('--runtime <runtime>', `${RUNTIMES.join(', ')} (default: by the ending of the file)`)
    .option('--auth <mode>', `who may call it: ${AUTH_MODES.join(' or ')} (default: jwt)`)
    .option('--description <text>', 'what it does')
    .option('--timeout <ms>', 'longest run, ms', numberOf('--timeout'))
    .option('--memory <mb>', 'memory, MiB', numberOf('--memory'))
    .option('--cpus <n>', 'CPUs', numberOf('--cpus'))
    .option('--min-isolation <demand>', `least isolation: ${MIN_ISOLATIONS.join(', ')}`)
    .option('--env <NAME=value>', 'an environment variable; may be given again', collect, {})
    .option('--secret <NAME=value>', 'a secret; NAME alone takes it from this shell', collectSecret, {});
  return withClientOptions(withWebhookOptions(command)).action(deploy);
}

async function deploy(file: string, options: DeployOptions): Promise<void> {
  const runtime = options.runtime ?? RUNTIME_OF[extname(file)];
  if (runtime === undefined)
    throw new Error(`${file}: no runtime is known for this ending; name one with --runtime.`);
  const code = await readFile(file, 'utf8').catch((error) => {
    throw new Error(`${file} cannot be read: ${messageOf(error)}`);
  });
  const name = options.name ?? nameOf(file);
  const { auth, keepsSecrets } = authOf(options);
  const client = await Client.of(options);
  const secrets = Object.keys(options.secret).length > 0 ? options.secret : undefined;
  const { description, env, timeout: timeoutMs, memory: memoryMb, cpus, minIsolation } = options;
  const limits = { timeoutMs, memoryMb, cpus, minIsolation };
  const draft = { name, runtime, code, description, auth, ...limits, env, secrets };
  const init = { headers: { 'content-type': 'application/json' }, body: JSON.stringify(draft) };
  const create = () => client.fetch('/v1/events', { ...init, method: 'POST' });
  const replace = () => client.fetch(`/v1/events/${encodeURIComponent(name)}`, { ...init, method: 'PUT' });
  // The secrets that a webhook keeps are those of an event that is there; a new one would be refused for having none.
  const [first, second, otherwise] = keepsSecrets ? [replace, create, 404] : [create, replace, 409];
  let response = await first();
  if (response.status === otherwise) response = await second();
  if (!response.ok) throw new Error(await describeProblem(response));
  const deployed = (await response.json()) as Deployed;
  process.stdout.write(`${deployed.name} version ${deployed.version}: ${deployed.url}\n`);
}

/** What is no number would reach the gateway as null, and its answer would not say what was typed. */
function numberOf(option: string): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (!Number.isFinite(value)) throw new Error(`${option}: ${text} is no number.`);
    return value;
  };
}

function nameOf(file: string): string {
  return basename(file, extname(file))
    .toLowerCase()
    .replace(/[^a-z0-9_-]+/g, '-');
}

function collect(pair: string, all: Record<string, string>): Record<string, string> {
  const at = pair.indexOf('=');
  if (at < 1) throw new Error(`${pair}: write it as NAME=value.`);
  return { ...all, [pair.slice(0, at)]: pair.slice(at + 1) };
}

/** A value on the command line stands in the shell's history, so the name alone will do. */
function collectSecret(pair: string, all: Record<string, string>): Record<string, string> {
  if (pair.includes('=')) return collect(pair, all);
  const value = process.env[pair];
  if (value === undefined)
    throw new Error(`--secret ${pair}: this shell has no such variable; export it or write ${pair}=value.`);
  return { ...all, [pair]: value };
}
