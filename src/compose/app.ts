import { v7 as uuidv7 } from 'uuid';
import type { AuditTrail } from '../audit/trail.ts';
import type { Config } from '../config.ts';
import type { InvocationReader } from '../core/invocation-store.ts';
import type { Invoker } from '../core/invoke.ts';
import type { SandboxInvoker } from '../core/invoker.ts';
import type { Pools } from '../core/pools.ts';
import { keepingInvoker } from '../core/replays/keeping-invoker.ts';
import type { Replays } from '../core/replays/replays.ts';
import type { SandboxBackend } from '../core/sandbox.ts';
import type { SelfTests } from '../core/self-tests.ts';
import { createApp } from '../http/app.ts';
import { createAuthenticator } from '../http/auth.ts';
import type { AnsweredRequest, App } from '../http/context.ts';
import { rememberTokens } from '../http/token-cache.ts';
import type { Log } from '../logger.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Database } from './database.ts';
import type { Keys } from './keys.ts';
import type { Queue } from './queue.ts';
import { readinessOf } from './watched.ts';

export interface AppParts {
  config: Config;
  log: Log;
  metrics: Metrics;
  onAnswered: (request: AnsweredRequest) => void;
  keys: Keys;
  audit: AuditTrail | undefined;
  database: Database;
  backend: SandboxBackend;
  pools: Pools;
  selfTests: SelfTests;
  invoker: SandboxInvoker;
  /** The same as it is called: each call is in the audit log, where there is one. */
  audited: Invoker;
  queue: Queue;
  replays: Replays;
  callbackSecretOf: (eventId: string) => string;
}

/** Everything that is reached by HTTP. */
export function composeApp(parts: AppParts): App {
  const { config, log, metrics, onAnswered, keys, audit, database, backend, pools, selfTests } = parts;
  const { invoker, audited, queue, replays, callbackSecretOf } = parts;
  const { store, events, aliases, keeper } = database;
  return createApp({
    config,
    events,
    aliases,
    schedules: store.schedules,
    invocations: invocationsOf(invoker, database),
    variables: store.variables,
    replays,
    invoker: keepingInvoker(audited, (call) => keeper.keep(call)),
    enqueuer: queue.enqueuer,
    idempotency: store.idempotency,
    queue: queue.asked,
    ends: queue.ends,
    callbackSecretOf,
    pools: () => pools.status().map((pool) => ({ ...pool, selfTest: selfTests.of(pool.runtime) })),
    grade: backend,
    auth: rememberTokens(createAuthenticator({ ...config, JWT_SECRET: keys.jwtSecret })),
    ready: () => readinessOf({ pools, selfTests, audit, database }),
    newId: () => uuidv7(),
    now: () => new Date(),
    random: Math.random,
    logger: { error: (message, fields) => log.error(fields, message) },
    onAnswered: (request) => {
      onAnswered(request);
      audit?.answered(request);
    },
    audit,
    keySet: keys.signer.keySet,
    metrics: { render: () => metrics.render(), token: config.METRICS_TOKEN },
  });
}

/** What runs is known here before the database knows of it. */
function invocationsOf(invoker: SandboxInvoker, { recorder }: Pick<Database, 'recorder'>): InvocationReader {
  return {
    find: async (id) => invoker.inFlight(id) ?? recorder.find(id),
    listByEvent: (...query) => recorder.listByEvent(...query),
    listByStatus: (...query) => recorder.listByStatus(...query),
  };
}
