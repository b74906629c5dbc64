import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { auditedInvoker } from './audit/audited-invoker.ts';
import { openTrail } from './audit/open.ts';
import type { AuditTrail } from './audit/trail.ts';
import { callbackSecret } from './callbacks/send.ts';
import { composeApp } from './compose/app.ts';
import { openBackend } from './compose/backend.ts';
import { openDatabase } from './compose/database.ts';
import { openDeliveries } from './compose/deliveries.ts';
import { createInvoker } from './compose/invoker.ts';
import { loadKeys } from './compose/keys.ts';
import { keepWarm, openPools } from './compose/pools.ts';
import { openQueue } from './compose/queue.ts';
import { createReplays } from './compose/replays.ts';
import { createScheduleRunner } from './compose/schedules.ts';
import { watch } from './compose/watched.ts';
import type { Config } from './config.ts';
import { Admission } from './core/admission.ts';
import type { EventStore } from './core/event-store.ts';
import { openDataDir } from './data-dir.ts';
import { checkAddress, listen } from './http/server.ts';
import type { Log } from './logger.ts';
import { openObservability } from './observe/observability.ts';

/** A gateway that serves. */
export interface Gateway extends AsyncDisposable {
  /** Where it listens, without a slash at the end. */
  readonly url: string;
  readonly isolation: string;
  readonly events: EventStore;
  /** `undefined` when none is kept. */
  readonly audit: AuditTrail | undefined;
  /** The HS256 secret that tokens are signed with; `undefined` when they come from elsewhere. */
  readonly jwtSecret: string | undefined;
  /** Resolves when every pool has what it keeps warm, or when the gateway closes. */
  whenReady(): Promise<void>;
  /** Takes no more calls, lets those that run end, destroys every sandbox. The same promise for every call. */
  close(): Promise<void>;
}

export interface GatewayOptions {
  config: Config;
  log: Log;
  /** Hears, line by line, of what takes time at a first start. */
  onProgress: (line: string) => void;
  /** Gives up a start under way: building images can take minutes. */
  signal?: AbortSignal;
}

const READY_POLL_MS = 10;

/**
 * Builds every part, in the order in which they need each other, and serves. What it returns takes them apart in reverse.
 * @throws DataDirError, KeyFileError, SecretsKeyError, NoIsolation, or the signal's reason; nothing is left then
 */
export async function startGateway({ config, log, onProgress, signal }: GatewayOptions): Promise<Gateway> {
  await using parts = new AsyncDisposableStack();
  const dataDir = parts.use(openDataDir(resolve(config.DATA_DIR)));
  const { instanceId } = dataDir;
  const { metrics, tracer, onAnswered } = parts.use(await openObservability({ config, log }));
  const keys = await loadKeys(config, dataDir.path);
  const { signer } = keys;
  const audit = await openTrail({ config, dataDir, signer, log });
  if (audit !== undefined) parts.use(audit);
  const seen = { config, log, metrics };

  const { secretsKey } = keys;
  const database = await openDatabase(parts, { ...seen, dataDir: dataDir.path, secretsKey });

  const address = { host: config.HOST, port: config.PORT };
  await checkAddress(address);
  const onEngineError = (error: unknown) => {
    metrics.engineFailed('run');
    log.warn({ err: error }, 'the sandbox engine failed');
  };
  const backend = await openBackend(parts, { config, instanceId, log, onProgress, onEngineError, signal });

  const { pools, selfTests } = openPools(parts, { ...seen, backend });
  const admission = new Admission({
    maxRunning: config.MAX_CONCURRENT_EXECUTIONS,
    maxQueued: config.MAX_QUEUED_EXECUTIONS,
  });
  watch(metrics, { pools, admission, database, backend, audit });
  const invoker = createInvoker({
    ...seen,
    gateway: instanceId,
    tracer,
    audit,
    signer,
    database,
    backend,
    pools,
    admission,
    onEngineError,
  });
  const audited = audit === undefined ? invoker : auditedInvoker(invoker, audit);

  const callbackSecretOf = (eventId: string) => callbackSecret(secretsKey, eventId);
  const deliveries = openDeliveries(parts, { ...seen, database, secretOf: callbackSecretOf });
  const queue = openQueue(parts, {
    ...seen,
    instanceId,
    database,
    grade: backend,
    admission,
    invoker: audited,
    onEnded: (id) => {
      deliveries.wake();
      schedules.ended(id);
    },
  });
  const { worker, enqueuer } = queue;
  keepWarm(pools, config);
  const onEnqueued = () => worker.wake();
  const replays = createReplays({ database, enqueuer, grade: backend, onEnqueued });
  const schedules = createScheduleRunner({ database, grade: backend, log, onEnqueued });

  const app = composeApp({
    ...seen,
    onAnswered,
    keys,
    audit,
    database,
    backend,
    pools,
    selfTests,
    invoker,
    audited,
    queue,
    replays,
    callbackSecretOf,
  });
  const server = await listen(app, address, {
    headersTimeoutMs: config.HEADERS_TIMEOUT_MS,
    requestTimeoutMs: config.REQUEST_TIMEOUT_MS,
  });
  parts.defer(() => server.close());
  audit?.began({ isolation: backend.isolation });
  schedules.wake();
  parts.defer(() => schedules.close());
  // Taken apart first: the server's connections and the pools are needed until the last invocation has ended.
  parts.defer(async () => {
    worker.stop();
    await invoker.close(config.SHUTDOWN_GRACE_MS);
    await worker.drained();
  });
  worker.start();
  deliveries.wake();

  const running = parts.move();
  let closed: Promise<void> | undefined;
  const close = () => {
    // Before anything is taken apart: who connects from now on must not get half an answer.
    server.stopAccepting();
    closed ??= running.disposeAsync();
    return closed;
  };
  return {
    url: server.url,
    isolation: backend.isolation,
    events: database.events,
    audit,
    jwtSecret: keys.jwtSecret,
    whenReady: async () => {
      while (closed === undefined && pools.unready().length > 0) await sleep(READY_POLL_MS);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
