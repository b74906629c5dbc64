import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Runtime } from '../../src/core/event.ts';
import type { Invocation } from '../../src/core/invocation.ts';
import { signToken } from '../../src/http/tokens.ts';
import { createLog } from '../../src/logger.ts';
import { type Gateway, startGateway } from '../../src/main.ts';
import { type Engine, engineConfig, tracesOfContainers } from '../engines.ts';
import { tracesOfBubblewrap } from '../traces.ts';

const OWNER = 'alice';

/** Room for one hostile function at a time; bounds that are quick to reach. */
const SETTINGS = {
  PORT: '0',
  LOG_LEVEL: 'silent',
  DEFAULT_MEMORY_MB: '128',
  DEFAULT_CPUS: '1',
  MAX_PIDS: '48',
  TMP_BYTES: String(8 * 2 ** 20),
  RUN_BYTES: String(2 ** 20),
  MAX_RESPONSE_BYTES: String(256 * 1_024),
  MAX_STREAM_BYTES: String(2 ** 20),
  MAX_LOG_BYTES: String(16 * 1_024),
  MAX_CONCURRENT_EXECUTIONS: '4',
  QUEUE_TIMEOUT_MS: '30000',
  SHUTDOWN_GRACE_MS: '0',
  // Nothing is kept warm, so that after a call there is no sandbox at all.
  POOL_MIN: '0',
  POOL_TARGET: '0',
};

/** A record as the API tells it. */
export type Recorded = Omit<Invocation, 'createdAt' | 'endedAt'> & { endedAt: string | null };

/** How a call came back to who made it. */
export interface Answered {
  status: number;
  code: string | undefined;
  invocationId: string;
  headers: Headers;
  body: string;
  /** The connection ended before the response did. */
  cut: boolean;
}

/** A real gateway with a database of its own. */
export class AttackedGateway {
  readonly gateway: Gateway;
  readonly #engine: Engine;
  readonly #dataDir: string;
  readonly #instanceId: string;
  readonly #token: string;
  #events = 0;

  private constructor(
    gateway: Gateway,
    own: { engine: Engine; dataDir: string; instanceId: string; token: string },
  ) {
    this.gateway = gateway;
    this.#engine = own.engine;
    this.#dataDir = own.dataDir;
    this.#instanceId = own.instanceId;
    this.#token = own.token;
  }

  static async start(engine: Engine, settings: Record<string, string> = {}): Promise<AttackedGateway> {
    const dataDir = await mkdtemp(join(tmpdir(), 'attacked-'));
    const config = engineConfig({ ...SETTINGS, ...settings, DATA_DIR: dataDir, ...engine.settings });
    const gateway = await startGateway({ config, log: createLog('silent'), onProgress: () => {} });
    const instanceId = (await readFile(join(dataDir, 'instance-id'), 'utf8')).trim();
    const claims = { sub: OWNER, scope: 'events:read events:invoke', ttlSeconds: 3_600 };
    const token = await signToken(claims, gateway.jwtSecret!);
    return new AttackedGateway(gateway, { engine, dataDir, instanceId, token });
  }

  /** Deploys a public function and returns its URL. */
  async deploy(
    runtime: Runtime,
    code: string,
    more: { timeoutMs?: number; memoryMb?: number; env?: Record<string, string> } = {},
  ): Promise<string> {
    this.#events += 1;
    const name = `f${this.#events}`;
    const { timeoutMs = 20_000, memoryMb = 128, env = {} } = more;
    const limits = { timeoutMs, memoryMb, cpus: 1 };
    const draft = { name, runtime, code, description: '', auth: 'public' as const, enabled: true };
    await this.gateway.events.create(OWNER, { ...draft, limits, env, secrets: {} });
    return `${this.gateway.url}/e/${name}`;
  }

  /** The record of an invocation, once it has ended. */
  async record(id: string): Promise<Recorded> {
    const headers = { authorization: `Bearer ${this.#token}` };
    for (const deadline = Date.now() + 20_000; ; await sleep(10)) {
      const response = await fetch(`${this.gateway.url}/v1/invocations/${id}`, { headers });
      if (response.ok) {
        const record = (await response.json()) as Recorded;
        if (record.endedAt !== null) return record;
      }
      if (Date.now() > deadline) throw new Error(`invocation ${id} has not ended: ${response.status}`);
    }
  }

  /** The newest record of the event at this URL, once there is one that has ended. */
  async newestRecord(url: string): Promise<Recorded> {
    const headers = { authorization: `Bearer ${this.#token}` };
    const list = `${this.gateway.url}/v1/events/${url.split('/').at(-1)}/invocations`;
    for (const deadline = Date.now() + 20_000; ; await sleep(10)) {
      const response = await fetch(list, { headers });
      const { items } = (await response.json()) as { items: Recorded[] };
      if (items[0] !== undefined) return this.record(items[0].id);
      if (Date.now() > deadline) throw new Error(`nothing recorded of ${url}`);
    }
  }

  /** Everything outside that belongs to a sandbox of this gateway. */
  async sandboxesLeft(): Promise<string[]> {
    return (await this.#traces()).sandboxes;
  }

  #traces() {
    return this.#engine.mode === 'bubblewrap'
      ? tracesOfBubblewrap(this.#instanceId)
      : tracesOfContainers(this.#instanceId);
  }

  /** Resolves to what is left then. */
  async close(): Promise<string[]> {
    await this.gateway.close();
    await rm(this.#dataDir, { recursive: true });
    const { sandboxes, gateway } = await this.#traces();
    return [...sandboxes, ...gateway];
  }
}

export async function callUrl(
  url: string,
  signal: AbortSignal = AbortSignal.timeout(60_000),
): Promise<Answered> {
  const response = await fetch(url, { signal });
  const chunks: Uint8Array[] = [];
  let wasCut = false;
  try {
    for await (const chunk of response.body ?? []) chunks.push(chunk);
  } catch (error) {
    if (signal.aborted) throw error;
    wasCut = true;
  }
  const body = Buffer.concat(chunks).toString();
  const { status, headers } = response;
  const isProblem = headers.get('content-type')?.startsWith('application/problem+json');
  const problem = isProblem ? (JSON.parse(body) as { code?: string }) : undefined;
  const invocationId = headers.get('x-cronium-invocation-id') ?? '';
  return { status, headers, body, invocationId, code: problem?.code, cut: wasCut };
}
