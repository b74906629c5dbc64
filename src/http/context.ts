import type { HttpBindings } from '@hono/node-server';
import { getConnInfo } from '@hono/node-server/conninfo';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import type { Config } from '../config.ts';
import type { AliasStore } from '../core/alias.ts';
import type { Enqueuer } from '../core/enqueue.ts';
import type { Event } from '../core/event.ts';
import type { EventStore } from '../core/event-store.ts';
import type { IdempotencyStore } from '../core/idempotency.ts';
import type { InvocationReader } from '../core/invocation-store.ts';
import type { Invoker } from '../core/invoke.ts';
import type { IsolationGrade } from '../core/isolation.ts';
import type { PoolStatus } from '../core/pool.ts';
import type { Ends } from '../core/queue/ends.ts';
import type { QueueStore } from '../core/queue/queue.ts';
import type { Replays } from '../core/replays/replays.ts';
import type { ScheduleStore } from '../core/schedules/schedule.ts';
import type { SelfTest } from '../core/self-test.ts';
import type { VariableStore } from '../core/variables.ts';
import type { KeySet } from '../signing.ts';
import type { Authenticator } from './auth.ts';
import type { Principal } from './principal.ts';
import { demandScope, type Scope } from './scopes.ts';

export type AppConfig = Pick<
  Config,
  | 'IDEMPOTENCY_TTL_MS'
  | 'QUEUE_TIMEOUT_MS'
  | 'PUBLIC_URL'
  | 'CORS_ORIGINS'
  | 'TIERS'
  | 'MAX_BODY_BYTES'
  | 'MAX_VARIABLES'
  | 'MAX_VARIABLES_BYTES'
  | 'DEFAULT_TIMEOUT_MS'
  | 'DEFAULT_MEMORY_MB'
  | 'DEFAULT_CPUS'
>;

export interface Readiness {
  ok: boolean;
  /** What is missing, for the operator. */
  reasons: string[];
}

/** Hears of errors that are the gateway's own fault. */
export interface Logger {
  error(message: string, fields: Record<string, unknown>): void;
}

export interface MetricsSource {
  render(): Promise<{ contentType: string; body: string }>;
  /** Demanded as a bearer token; anybody may read when it is not set. */
  token: string | undefined;
}

/** What may be known of a request that was answered: never its body, its query, its headers or a token. */
export interface AnsweredRequest {
  requestId: string;
  method: string;
  /** The pattern, as `/e/:event`; `unmatched` where there is nothing. */
  route: string;
  path: string;
  status: number;
  /** To the head of the answer; a streamed body may still be on its way. */
  durationMs: number;
  /** The socket's other end. */
  remoteAddress: string | undefined;
  userId: string | undefined;
  invocationId: string | undefined;
  event: string | undefined;
  version: number | undefined;
  /** What the event's version demands. */
  minIsolation: string | undefined;
  start: string | undefined;
  isolation: string | undefined;
  /** The stable code of the problem that was answered. */
  code: string | undefined;
}

/** What stands between a change and its answer. */
export interface AuditGate {
  /** @throws GatewayError `audit_unavailable` when what could not be written down must not be done */
  demandWritable(): void;
  /** Resolves, never rejects, when the request is written down, or nothing can be written now; `undefined` if it changed nothing. */
  changed(request: AnsweredRequest): Promise<void> | undefined;
}

/** Everything the HTTP side needs from the rest of the gateway. */
export interface AppDeps {
  config: AppConfig;
  /** Asked on every call of a function: give it a cache. */
  events: EventStore;
  /** The same holds for these. */
  aliases: AliasStore;
  invocations: InvocationReader;
  schedules: ScheduleStore;
  variables: VariableStore;
  queue: Pick<QueueStore, 'cancel' | 'redrive' | 'result'>;
  /** Tells of ends of durable invocations. */
  ends: Ends;
  /** What the callbacks of an event are signed with. */
  callbackSecretOf: (eventId: string) => string;
  replays: Replays;
  invoker: Invoker;
  /** Takes invocations that nobody waits for. */
  enqueuer: Enqueuer;
  idempotency: IdempotencyStore;
  pools: () => (PoolStatus & { selfTest: SelfTest })[];
  /** What isolates every function. */
  grade: IsolationGrade;
  auth: Authenticator;
  ready: () => Promise<Readiness>;
  /** A UUID of version 7. */
  newId: () => string;
  now: () => Date;
  /** A number in [0, 1): which of two versions a call of an alias gets. */
  random: () => number;
  logger: Logger;
  /** Hears of every request that was answered; must neither throw nor block. */
  onAnswered?: (request: AnsweredRequest) => void;
  /** Writes changes down before they are answered. */
  audit?: AuditGate | undefined;
  /** The public keys of what the gateway signs; without them it gives no receipts. */
  keySet?: KeySet;
  /** What `/metrics` answers; without it there is no such path. */
  metrics?: MetricsSource;
}

export interface AppEnv {
  /** Absent where there is no socket, as in `app.request()`. */
  Bindings: Partial<HttpBindings>;
  /** `event` is the one called or changed; who watches requests reads both. */
  Variables: { principal: Principal; event: Event };
}

export type App = OpenAPIHono<AppEnv>;

/** The socket's two ends, where there is a socket. */
export function bindingsOf(c: Context<AppEnv>): Partial<HttpBindings> {
  const bindings: Partial<HttpBindings> | undefined = c.env;
  return bindings ?? {};
}

/** Where the request comes from: `X-Forwarded-For` is anybody's to write, so only the socket is believed. */
export function remoteAddressOf(c: Context<AppEnv>): string | undefined {
  if (bindingsOf(c).incoming === undefined) return undefined;
  return getConnInfo(c).remote.address?.replace(/^::ffff:(?=\d+\.)/, '');
}

/** Lets only valid tokens through; what they allow is the handler's to judge. */
export function authenticated(auth: Authenticator) {
  return createMiddleware<AppEnv>(async (c, next) => {
    c.set('principal', await auth.authenticate(c.req.header('authorization')));
    await next();
  });
}

/** Lets only tokens with the scope through, and tells the handler whose they are. */
export function secured(auth: Authenticator, scope: Scope) {
  return createMiddleware<AppEnv>(async (c, next) => {
    const principal = await auth.authenticate(c.req.header('authorization'));
    // Before it is refused: who watches requests is to know whose it was.
    c.set('principal', principal);
    demandScope(principal, scope);
    await next();
  });
}
