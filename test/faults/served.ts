import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Runtime } from '../../src/core/event.ts';
import type { Invocation } from '../../src/core/invocation.ts';
import type { PoolStatus } from '../../src/core/pool.ts';
import { signToken } from '../../src/http/tokens.ts';
import { GatewayProcess, leftOf, TempDir } from '../e2e/processes.ts';
import type { Engine } from '../engines.ts';

const SCOPE = 'events:read events:write events:invoke variables:read variables:write bench';
const DEADLINE_MS = 30_000;
const SETTINGS = {
  HOST: '127.0.0.1',
  DEFAULT_MEMORY_MB: '128',
  DEFAULT_CPUS: '1',
  MIN_FREE_MEMORY_MB: '0',
  POOL_MIN: '1',
  POOL_TARGET: '1',
  SHUTDOWN_GRACE_MS: '2000',
};

/** A record as the API tells it. */
export type Recorded = Omit<Invocation, 'createdAt' | 'endedAt'> & { endedAt: string | null };

export interface Problem {
  status: number;
  code: string;
  detail: string;
  errors?: { path: string; message: string }[];
}

/** An answer, read to its end. */
export interface Answer {
  status: number;
  headers: Headers;
  body: string;
  /** `undefined` when it is none. */
  problem: Problem | undefined;
}

export interface ServedOptions {
  mode?: Engine['mode'];
  env?: Record<string, string>;
  /** Of Node.js, before the command line. */
  nodeArgs?: string[];
  /** Do not wait for warm pools. */
  cold?: boolean;
  /** A folder of its own when not given. */
  dataDir?: string;
}

export interface Deploy {
  auth?: 'jwt' | 'public' | Record<string, unknown>;
  timeoutMs?: number;
  memoryMb?: number;
  cpus?: number;
  async?: Record<string, unknown>;
}

/** A gateway in a process of its own, whose secret is known: its crash would be seen, and its memory and files are its own. */
export class Served implements AsyncDisposable {
  readonly process: GatewayProcess;
  readonly url: string;
  readonly #dir: TempDir;
  readonly #secret: string;

  private constructor(process: GatewayProcess, url: string, own: { dir: TempDir; secret: string }) {
    this.process = process;
    this.url = url;
    this.#dir = own.dir;
    this.#secret = own.secret;
  }

  static async start(options: ServedOptions = {}): Promise<Served> {
    const { mode = 'bubblewrap', env = {}, nodeArgs = [], cold = false } = options;
    const dir = new TempDir();
    const secret = randomBytes(32).toString('base64');
    const gateway = new GatewayProcess({
      dataDir: options.dataDir ?? `${dir.path}/data`,
      mode,
      env: { ...SETTINGS, JWT_SECRET: secret, ...env },
      command: [process.execPath, ...nodeArgs, 'src/cli/main.ts'],
    });
    try {
      const url = await gateway.listening();
      const served = new Served(gateway, url, { dir, secret });
      if (!cold) await served.ready();
      return served;
    } catch (error) {
      await gateway[Symbol.asyncDispose]();
      dir[Symbol.dispose]();
      throw error;
    }
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  get pid(): number {
    return this.process.child.pid!;
  }

  get dataDir(): string {
    return this.process.dataDir;
  }

  /** Waits until calls can be served. */
  async ready(): Promise<void> {
    await eventually('readiness', async () => (await fetch(`${this.url}/readyz`)).ok || undefined);
  }

  /** What `/readyz` says is missing. */
  async unready(): Promise<string[]> {
    const response = await fetch(`${this.url}/readyz`);
    return response.ok ? [] : ((await response.json()) as { reasons: string[] }).reasons;
  }

  token(sub = 'alice', tier?: string): Promise<string> {
    return signToken({ sub, scope: SCOPE, ttlSeconds: 86_400, tier }, this.#secret);
  }

  /** A request of a user with every scope; never hangs for longer than the deadline. */
  async send(path: string, init: RequestInit = {}, sub = 'alice', tier?: string): Promise<Answer> {
    const headers = new Headers(init.headers);
    headers.set('authorization', `Bearer ${await this.token(sub, tier)}`);
    if (init.body !== undefined && !headers.has('content-type'))
      headers.set('content-type', 'application/json');
    const signal = init.signal ?? AbortSignal.timeout(DEADLINE_MS);
    const response = await fetch(`${this.url}${path}`, { ...init, headers, signal });
    const body = await response.text();
    const isProblem = response.headers.get('content-type')?.startsWith('application/problem+json');
    const problem = isProblem ? (JSON.parse(body) as Problem) : undefined;
    return { status: response.status, headers: response.headers, body, problem };
  }

  tryDeploy(name: string, runtime: Runtime, code: string, more: Deploy = {}, sub = 'alice', tier?: string) {
    const body = JSON.stringify({ name, runtime, code, ...more });
    return this.send('/v1/events', { method: 'POST', body }, sub, tier);
  }

  async deploy(name: string, runtime: Runtime, code: string, more: Deploy = {}): Promise<void> {
    const answer = await this.tryDeploy(name, runtime, code, more);
    if (answer.status !== 201) throw new Error(`${name} was not deployed: ${answer.body}`);
  }

  /** The ended records of an event, newest first. */
  async records(name: string): Promise<Recorded[]> {
    const answer = await this.send(`/v1/events/${name}/invocations?limit=100`);
    if (answer.status !== 200) throw new Error(answer.body);
    return (JSON.parse(answer.body) as { items: Recorded[] }).items;
  }

  /** The newest record of an event, once so many have ended. */
  newestOf(name: string, count = 1): Promise<Recorded> {
    return eventually(`record of ${name}`, async () => {
      const records = await this.records(name);
      return records.length >= count ? records[0] : undefined;
    });
  }

  async pools(): Promise<PoolStatus[]> {
    return (JSON.parse((await this.send('/v1/pools')).body) as { items: PoolStatus[] }).items;
  }

  /** Waits until nobody runs and nobody waits. */
  async idle(): Promise<void> {
    await eventually('idleness', async () => {
      const pools = await this.pools();
      return pools.every(({ taken, waiting, starting }) => taken + waiting + starting === 0) || undefined;
    });
  }

  /** What the gateway's own measurements say of one of them, over all labels. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const lines = text
      .split('\n')
      .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
    if (lines.length === 0) throw new Error(`there is no metric ${name}`);
    return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  }

  /** Asks it to stop; resolves to its exit status and all that is left of it outside. */
  async stop(): Promise<{ code: number | null; left: string[] }> {
    this.process.signal('SIGTERM');
    const { code } = await this.process.ended;
    return { code, left: await leftOf(this.dataDir) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
    this.#dir[Symbol.dispose]();
  }
}

/** Waits until the condition gives something. */
export async function eventually<T>(
  what: string,
  condition: () => Promise<T | undefined>,
  timeoutMs = DEADLINE_MS,
): Promise<T> {
  for (const deadline = Date.now() + timeoutMs; ; await sleep(20)) {
    const found = await condition();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`no ${what} within ${timeoutMs} ms`);
  }
}
