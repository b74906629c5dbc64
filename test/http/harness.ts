import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { v7 as uuidv7 } from 'uuid';
import { systemClock } from '../../src/core/clock.ts';
import type { EnqueueRequest, Enqueuer } from '../../src/core/enqueue.ts';
import type { InvokeRequest, InvokeResponse } from '../../src/core/invoke.ts';
import type { IsolationGrade } from '../../src/core/isolation.ts';
import { demandingEnqueuer } from '../../src/core/isolation-demand.ts';
import { Ends } from '../../src/core/queue/ends.ts';
import { Replays } from '../../src/core/replays/replays.ts';
import type { Store } from '../../src/core/store.ts';
import { WIDEST_TIER } from '../../src/core/tiers.ts';
import { createApp } from '../../src/http/app.ts';
import { createAuthenticator } from '../../src/http/auth.ts';
import type { App, AppDeps } from '../../src/http/context.ts';
import { signToken } from '../../src/http/tokens.ts';
import { openStore } from '../../src/store/store.ts';

const SECRET = randomBytes(32).toString('base64');
const SECRETS_KEY = randomBytes(32);
export const NOW = new Date('2020-03-12T19:03:58.390Z');
export const ALL_SCOPES = 'events:read events:write events:invoke variables:read variables:write';

export type Answer = (
  request: InvokeRequest,
  signal: AbortSignal,
) => Promise<InvokeResponse> | InvokeResponse;

export function answer(changes: Partial<InvokeResponse> = {}): InvokeResponse {
  return {
    invocationId: 'replaced by the harness',
    start: 'warm',
    isolation: 'bubblewrap',
    securityLevel: 'enhanced',
    phases: { admit: 0.01, acquire: 0.25, inject: 1, exec: 12.3456 },
    statusCode: 200,
    headers: { 'content-type': 'application/json' },
    cookies: [],
    body: Buffer.from('{"ok":true}'),
    ...changes,
  };
}

/** The HTTP side over a real store and real tokens; only the invoker is a fake. */
export class Harness implements AsyncDisposable {
  readonly app: App;
  readonly calls: InvokeRequest[] = [];
  readonly enqueued: EnqueueRequest[] = [];
  readonly logged: { message: string; fields: Record<string, unknown> }[] = [];
  answer: Answer = () => answer();
  readonly #store: Store;

  private constructor(store: Store, deps: Partial<AppDeps>) {
    this.#store = store;
    const grade: IsolationGrade = { isolation: 'bubblewrap', kernel: 'host', level: 'enhanced' };
    const queue: Enqueuer = {
      enqueue: async (request) => {
        this.enqueued.push(request);
        return (await store.queue.enqueue([request]))[0]!;
      },
    };
    const enqueuer = demandingEnqueuer(queue, grade);
    this.app = createApp({
      config: {
        PUBLIC_URL: undefined,
        CORS_ORIGINS: undefined,
        TIERS: { default: WIDEST_TIER },
        MAX_BODY_BYTES: 1_000,
        QUEUE_TIMEOUT_MS: 10_000,
        IDEMPOTENCY_TTL_MS: 86_400_000,
        MAX_VARIABLES: 5,
        MAX_VARIABLES_BYTES: 100_000,
        DEFAULT_TIMEOUT_MS: 30_000,
        DEFAULT_MEMORY_MB: 512,
        DEFAULT_CPUS: 0.5,
      },
      events: store.events,
      aliases: store.aliases,
      schedules: store.schedules,
      invocations: store.invocations,
      idempotency: store.idempotency,
      variables: store.variables,
      invoker: {
        invoke: async (request, signal) => {
          this.calls.push(request);
          return { ...(await this.answer(request, signal)), invocationId: request.id };
        },
      },
      queue: store.queue,
      ends: new Ends(systemClock),
      callbackSecretOf: (id) => `whsec_${Buffer.from(id).toString('base64')}`,
      enqueuer,
      replays: new Replays({
        store: store.replays,
        enqueuer,
        grade,
        events: store.events,
        aliases: store.aliases,
        flush: async () => {},
        onEnqueued: () => {},
        newId: () => uuidv7(),
        now: () => NOW,
        random: () => 0,
      }),
      pools: () => [],
      grade,
      auth: createAuthenticator({ JWT_SECRET: SECRET }),
      ready: async () => ({ ok: true, reasons: [] }),
      newId: () => uuidv7(),
      now: () => NOW,
      random: () => 0,
      logger: { error: (message, fields) => this.logged.push({ message, fields }) },
      ...deps,
    });
  }

  static async open(deps: Partial<AppDeps> = {}, url?: string): Promise<Harness> {
    const location = url === undefined ? { path: ':memory:' } : { url };
    return new Harness(await openStore({ ...location, secretsKey: SECRETS_KEY }), deps);
  }

  get store(): Store {
    return this.#store;
  }

  async bearer(sub: string, scope = ALL_SCOPES, ttlSeconds = 60): Promise<{ authorization: string }> {
    return { authorization: `Bearer ${await signToken({ sub, scope, ttlSeconds }, SECRET)}` };
  }

  /** A JSON request of a user with every ordinary scope. */
  async send(method: string, path: string, body?: unknown, sub = 'alice'): Promise<Response> {
    const headers = { ...(await this.bearer(sub)), 'content-type': 'application/json' };
    const init = body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) };
    return this.app.request(path, { method, headers, ...init });
  }

  async deploy(changes: Record<string, unknown> = {}, sub = 'alice'): Promise<void> {
    const response = await this.send('POST', '/v1/events', { ...body(), ...changes }, sub);
    if (response.status !== 201) throw new Error(await response.text());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.#store[Symbol.asyncDispose]());
  }
}

export function body(): Record<string, unknown> {
  return { name: 'hello', runtime: 'python', code: 'def handler(event, context): return 1' };
}

/** The response's JSON, taken for what the test expects it to be. */
export async function jsonOf<T>(response: Response): Promise<T> {
  return (await response.json()) as T;
}

/** The app behind a real socket, as it is served. */
export async function listen(app: App): Promise<{ port: number; url: string } & AsyncDisposable> {
  const server: Server = createServer(getRequestListener(app.fetch));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
