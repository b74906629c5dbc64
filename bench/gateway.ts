import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RUNTIMES, type Runtime } from '../src/core/event.ts';
import { signToken } from '../src/http/tokens.ts';
import { TRIVIAL } from './functions.ts';
import { type RawAnswer, RawClient } from './raw-client.ts';
import { pause } from './stats.ts';

const MAIN = fileURLToPath(new URL('../bin/cronium', import.meta.url));
const SECRET = 'a secret for a gateway that lives as long as a benchmark';

interface PoolView {
  runtime: string;
  ready: number;
  target: number;
  selfTest: { status: string };
}

/** A gateway in a process of its own, as users run it, and a client of it. */
export class BenchGateway {
  /** From the start of the process until `/readyz` said yes, ms. */
  readonly readyMs: number;
  readonly #child: ChildProcess;
  readonly #url: string;
  readonly #dataDir: string;
  readonly #token: string;
  readonly #port: number;
  /** Kept connections that nobody uses at the moment. */
  readonly #idle: RawClient[] = [];

  private constructor(child: ChildProcess, port: number, dataDir: string, token: string, readyMs: number) {
    this.#child = child;
    this.#port = port;
    this.#url = urlOf(port);
    this.#dataDir = dataDir;
    this.#token = token;
    this.readyMs = readyMs;
  }

  /**
   * @param isolation as in `X-Cronium-Isolation`, or an ISOLATION_MODE alone
   * @param settings variables beside those that this sets
   */
  static async start(isolation: string, settings: Record<string, string>): Promise<BenchGateway> {
    const dataDir = await mkdtemp(join(tmpdir(), 'cronium-bench-'));
    const port = 20_000 + Math.floor(Math.random() * 20_000);
    const env = {
      ...process.env,
      ...settingsOf(isolation),
      PORT: String(port),
      DATA_DIR: dataDir,
      JWT_SECRET: SECRET,
      LOG_LEVEL: 'error',
      ...settings,
    };
    const beganAt = performance.now();
    const child = spawn(process.execPath, ['--max-semi-space-size=2', MAIN, 'serve'], {
      env,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const url = urlOf(port);
    while ((await fetch(`${url}/readyz`).catch(() => undefined))?.status !== 200) {
      if (child.exitCode !== null) throw new Error('the gateway did not start');
      await pause(5);
    }
    const readyMs = performance.now() - beganAt;
    const scope = 'events:read events:write events:invoke bench';
    const token = await signToken({ sub: 'bench', scope, ttlSeconds: 7_200 }, SECRET);
    const gateway = new BenchGateway(child, port, dataDir, token, readyMs);
    for (const runtime of RUNTIMES) {
      await gateway.deploy({ name: `bench-${runtime}`, runtime, code: TRIVIAL[runtime] });
    }
    return gateway;
  }

  async call(runtime: Runtime, cold = false): Promise<RawAnswer> {
    let client = this.#idle.pop();
    while (client !== undefined && !client.isOpen) client = this.#idle.pop();
    client ??= new RawClient('127.0.0.1', this.#port);
    const lines = [`GET /e/bench-${runtime} HTTP/1.1`, 'Host: bench', `Authorization: Bearer ${this.#token}`];
    if (cold) lines.push('X-Cronium-Start: cold');
    const answer = await client.request(`${lines.join('\r\n')}\r\n\r\n`);
    this.#idle.push(client);
    return answer;
  }

  /** A connection of its own, which the caller closes. */
  connect(): RawClient {
    return new RawClient('127.0.0.1', this.#port);
  }

  /** Resolves when the pool of this runtime has as many warm sandboxes as it wants. */
  async settled(runtime: Runtime): Promise<void> {
    while (true) {
      const pool = (await this.#pools()).find((candidate) => candidate.runtime === runtime);
      if (pool !== undefined && pool.ready >= pool.target) return;
      await pause(20);
    }
  }

  /** Resolves when the self-tests that follow a start have ended: they are over once, and calls come for days. */
  async selfTested(): Promise<void> {
    while ((await this.#pools()).some(({ selfTest }) => selfTest.status === 'running')) await pause(100);
  }

  /** Resident memory of the gateway's process, MiB. */
  memoryMb(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1_024;
  }

  async stop(): Promise<void> {
    for (const client of this.#idle) client.close();
    this.#child.kill('SIGTERM');
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
    await rm(this.#dataDir, { recursive: true, force: true });
  }

  async deploy(event: Record<string, unknown>): Promise<void> {
    await this.#json('/v1/events', { method: 'POST', body: JSON.stringify(event) });
  }

  async #pools(): Promise<PoolView[]> {
    return (await this.#json<{ items: PoolView[] }>('/v1/pools')).items;
  }

  async #json<T>(path: string, init: RequestInit = {}): Promise<T> {
    const headers = { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' };
    const response = await fetch(`${this.#url}${path}`, { ...init, headers });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }
}

function settingsOf(isolation: string): Record<string, string> {
  const [mode = '', runtime] = isolation.split('+');
  return { ISOLATION_MODE: mode, ...(runtime !== undefined && mode === 'docker' && { RUNTIME: runtime }) };
}

function urlOf(port: number): string {
  return `http://127.0.0.1:${port}`;
}
