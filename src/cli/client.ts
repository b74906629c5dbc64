import { isIPv6 } from 'node:net';
import type { Command } from 'commander';
import { messageOf } from '../errors.ts';
import { ALL_SCOPES, LOCAL_USER, mintToken } from './access.ts';
import { configWithoutEngines } from './config.ts';

const TOKEN_TTL_SECONDS = 300;

export interface ClientOptions {
  url?: string;
  token?: string;
  as: string;
}

/** Options of every command that talks to a gateway. */
export function withClientOptions(command: Command): Command {
  return command
    .option('--url <url>', 'the gateway (default: CRONIUM_URL, else the one configured here)')
    .option('--token <jwt>', 'the token (default: CRONIUM_TOKEN, else one signed with the local secret)')
    .option('--as <user>', 'the user of a token signed here', LOCAL_USER);
}

/** A gateway, as a command calls it. */
export class Client {
  readonly url: string;
  readonly #token: string;

  private constructor(url: string, token: string) {
    this.url = url;
    this.#token = token;
  }

  static async of(options: ClientOptions): Promise<Client> {
    const config = configWithoutEngines();
    const given = options.url ?? process.env.CRONIUM_URL ?? config.PUBLIC_URL;
    const url = (given ?? `http://${hostToCall(config.HOST)}:${config.PORT}`).replace(/\/+$/, '');
    if (!/^https?:$/.test(URL.parse(url)?.protocol ?? '')) {
      throw new Error(`${url} is no URL of a gateway; write it like http://127.0.0.1:8787.`);
    }
    const token = options.token ?? process.env.CRONIUM_TOKEN;
    const request = { sub: options.as, scope: ALL_SCOPES, ttlSeconds: TOKEN_TTL_SECONDS };
    return new Client(url, token ?? (await mintToken(config, request)));
  }

  /** @throws Error when no gateway answers there */
  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set('authorization', `Bearer ${this.#token}`);
    // Made apart, so that what is wrong with the request is not taken for a gateway that is away.
    const request = new Request(`${this.url}${path}`, { ...init, headers });
    try {
      return await fetch(request);
    } catch (error) {
      const { cause } = error as { cause?: unknown };
      // Several addresses of one name fail as one error without a message.
      const reason = messageOf(cause ?? error) || ((cause as NodeJS.ErrnoException).code ?? 'no connection');
      throw new Error(`No gateway answers at ${this.url} (${reason}). Start one with: npm start`);
    }
  }

  /** The JSON of a successful answer. @throws Error with what the gateway said otherwise */
  async json<T>(path: string, init?: RequestInit): Promise<T> {
    const response = await this.fetch(path, init);
    if (!response.ok) throw new Error(await describeProblem(response));
    return (await response.json()) as T;
  }
}

/** Where to call a gateway that listens on this address. */
function hostToCall(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return isIPv6(host) ? `[${host}]` : host;
}

interface Problem {
  detail?: string;
  title?: string;
  code?: string;
  errors?: { path: string; message: string }[];
}

/** What a refused request says, for a person. */
export async function describeProblem(response: Response): Promise<string> {
  const text = await response.text();
  let problem: Problem;
  try {
    problem = JSON.parse(text) as Problem;
  } catch {
    return `${response.status} ${text.slice(0, 500)}`;
  }
  const faults = (problem.errors ?? []).map(({ path, message }) => `\n  ${path}: ${message}`).join('');
  return `${problem.detail ?? problem.title ?? response.status} (${problem.code ?? response.status})${faults}`;
}
