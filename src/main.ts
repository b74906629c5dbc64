import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { v7 as uuidv7 } from 'uuid';
import { auditedInvoker } from './audit/audited-invoker.ts';
import { openTrail } from './audit/open.ts';
import type { AuditTrail } from './audit/trail.ts';
import { beginSelfTests } from './boot-self-tests.ts';
import { callbackSecret, sender } from './callbacks/send.ts';
import type { Config } from './config.ts';
import { decodeKey } from './config.ts';
import { Admission } from './core/admission.ts';
import { systemClock } from './core/clock.ts';
import type { Trigger } from './core/enqueue.ts';
import { RUNTIMES } from './core/event.ts';
import type { ExecutionOptions } from './core/execution-deps.ts';
import { userKeyOf } from './core/invoke.ts';
import { SandboxInvoker } from './core/invoker.ts';
import { demandingEnqueuer } from './core/isolation-demand.ts';
import { observers } from './core/observer.ts';
import { Pools } from './core/pools.ts';
import { Deliveries } from './core/queue/deliveries.ts';
import { Ends } from './core/queue/ends.ts';
import { GroupCommit } from './core/queue/group-commit.ts';
import { outcomeOf } from './core/queue/outcome.ts';
import type { QueueStore } from './core/queue/queue.ts';
import { Worker } from './core/queue/worker.ts';
import { keepingInvoker } from './core/replays/keeping-invoker.ts';
import { Replays } from './core/replays/replays.ts';
import { Retention } from './core/retention.ts';
import type { SandboxBackend, SandboxSpec } from './core/sandbox.ts';
import { ScheduleRunner } from './core/schedules/runner.ts';
import type { EventStore } from './core/store.ts';
import { tierOf } from './core/tiers.ts';
import { MAX_VARIABLE_CALLS, type VariableQuota } from './core/variables.ts';
import { openDataDir } from './data-dir.ts';
import { baseImages, RUNTIMES_DIR } from './engine-config.ts';
import { messageOf } from './errors.ts';
import { createApp } from './http/app.ts';
import { createAuthenticator } from './http/auth.ts';
import type { AppDeps } from './http/context.ts';
import { loadOrCreateSecret, loadOrCreateSecretsKey, loadSigner } from './http/key-files.ts';
import { checkAddress, listen } from './http/server.ts';
import { rememberTokens } from './http/token-cache.ts';
import type { Log } from './logger.ts';
import { observeBoots } from './observe/boots.ts';
import type { Metrics } from './observe/metrics.ts';
import { openObservability } from './observe/observability.ts';
import { receiptIssuer } from './receipts/issuer.ts';
import { type DetectOptions, detectBackend } from './sandbox/detect.ts';
import { memoryWatch } from './sandbox/host-memory.ts';
import { cacheAliases } from './store/alias-cache.ts';
import { CallKeeper } from './store/call-keeper.ts';
import { cacheEvents } from './store/event-cache.ts';
import { WriteBehindRecorder } from './store/recorder.ts';
import { openStore } from './store/store.ts';

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

/** How long a start that was given up may take to come to its end and to tidy up after itself, ms. */
const GIVE_UP_MS = 3_000;
const READY_POLL_MS = 10;
/** The queue is told of whatever is put into it; this is for when nobody could tell, ms. */
const QUEUE_POLL_MS = 5_000;
/** Counting what waits takes the database milliseconds, ms. */
const QUEUE_COUNT_MS = 5_000;
/** What somebody asks for is counted against their rate; what follows from something else was promised already. */
const COUNTED: ReadonlySet<Trigger> = new Set(['async', 'webhook', 'replay']);
/** A sweep every five minutes; at most 4,000 rows a second while there is much to prune. */
const PRUNING = { everyMs: 300_000, pauseMs: 50, batchRows: 200 };
/** How long a function waits for a variable while the database does not answer, ms. */
const VARIABLE_TIMEOUT_MS = 5_000;

/**
 * Builds every part, in the order in which they need each other, and serves. What it returns takes them apart in reverse.
 * @throws DataDirError, KeyFileError, SecretsKeyError, NoIsolation, or the signal's reason; nothing is left then
 */
export async function startGateway({ config, log, onProgress, signal }: GatewayOptions): Promise<Gateway> {
  await using parts = new AsyncDisposableStack();
  const dataDir = parts.use(openDataDir(resolve(config.DATA_DIR)));
  const { metrics, tracer, onAnswered } = parts.use(await openObservability({ config, log }));
  const usesKeySet = config.JWT_JWKS_URL !== undefined;
  const jwtSecret = usesKeySet ? undefined : (config.JWT_SECRET ?? (await loadOrCreateSecret(dataDir.path)));
  const secretsKey = config.SECRETS_KEY
    ? decodeKey(config.SECRETS_KEY)!
    : await loadOrCreateSecretsKey(dataDir.path);
  const signer = await loadSigner(config, dataDir.path);
  const audit = await openTrail({ config, dataDir, signer, log });
  if (audit !== undefined) parts.use(audit);

  const store = parts.use(
    await openStore({
      ...(config.DATABASE_URL === undefined
        ? { path: resolve(dataDir.path, 'cronium.db') }
        : { url: config.DATABASE_URL }),
      secretsKey,
      onError: (error) => log.warn({ err: error }, 'the database is away, or a connection to it was lost'),
    }),
  );
  const events = cacheEvents(store.events, { onLookup: (result) => metrics.eventLookedUp(result) });
  const aliases = cacheAliases(store.aliases);
  store.onEventChanged((name) => {
    events.forget(name);
    aliases.forget(name);
  });
  const recorder = new WriteBehindRecorder(store.invocations, {
    onError: (error) => log.error({ err: error }, 'invocations could not be written; trying again'),
    onRefused: (error, invocationId) =>
      log.error({ err: error, invocationId }, 'the database refuses the record of an invocation; it is lost'),
  });
  parts.defer(async () => {
    await recorder.close();
  });

  const retention = new Retention(store.retention, {
    days: {
      records: config.RETENTION_DAYS,
      bodies: config.RETENTION_BODY_DAYS,
      logs: config.RETENTION_LOG_DAYS,
    },
    maxBodyBytes: config.RETENTION_MAX_BODY_BYTES,
    ...PRUNING,
    expired: [
      (limit) => store.retention.pruneExpired(limit),
      (limit) => store.idempotency.pruneExpired(limit),
    ],
    now: () => new Date(),
    onPruned: (what, rows) => metrics.pruned(what, rows),
    onError: (error) => log.warn({ err: error }, 'old invocations could not be pruned; trying again later'),
  });
  parts.defer(() => retention.close());
  retention.start();

  const keeper = new CallKeeper({
    store: store.replays,
    maxBytes: config.KEEP_PAYLOAD_BYTES,
    onError: (error) => log.warn({ err: error }, 'calls were not kept, and cannot be run again'),
  });
  parts.defer(() => keeper.close());

  const address = { host: config.HOST, port: config.PORT };
  await checkAddress(address);
  const onEngineError = (error: unknown) => {
    metrics.engineFailed('run');
    log.warn({ err: error }, 'the sandbox engine failed');
  };
  const { backend, refusals } = await backendUnless(
    signal,
    detectBackend(
      config.ISOLATION_MODE,
      detectOptions(config, { instanceId: dataDir.instanceId, onProgress, onEngineError }),
    ),
  );
  parts.defer(() => backend.close());
  for (const { name, reason } of refusals)
    onProgress(`${name} is stronger and cannot be used here: ${reason}`);
  const swept = await backend.sweep();
  if (swept > 0) log.info({ swept }, 'removed sandboxes that an earlier run left');
  signal?.throwIfAborted();

  const pools = createPools(config, observeBoots(backend, metrics), log, metrics);
  const selfTests = beginSelfTests({ backend, pools, limitsEnabled: config.RESOURCE_LIMITS_ENABLED, log });
  // Side by side: each waits for an engine that hangs.
  parts.defer(async () => {
    await Promise.all([pools.close(), selfTests.close()]);
  });
  const options = invokerOptions(config);
  const admission = new Admission({
    maxRunning: config.MAX_CONCURRENT_EXECUTIONS,
    maxQueued: config.MAX_QUEUED_EXECUTIONS,
  });
  metrics.watch({
    pools: () => pools.status(),
    admission: () => admission,
    recorder: () => recorder,
    grade: backend,
    queue: atMostEvery(QUEUE_COUNT_MS, () => store.queue.depth()),
    ...(audit && { audit: () => audit }),
  });
  const invoker = new SandboxInvoker({
    admission,
    pools,
    grade: backend,
    clock: systemClock,
    record: (invocation) => recorder.record(invocation),
    onEngineError,
    observer: audit === undefined ? metrics : observers(metrics, audit.observer),
    ...(tracer && { tracer }),
    receipts: receiptIssuer({
      signer,
      gateway: dataDir.instanceId,
      limitsEnforced: config.RESOURCE_LIMITS_ENABLED,
    }),
    ...(config.MAX_VARIABLES > 0 && {
      variables: {
        store: store.variables,
        quota: variableQuota(config),
        timeoutMs: VARIABLE_TIMEOUT_MS,
        onError: (error) => log.error({ err: error }, 'a variable could not be served'),
      },
    }),
    options,
  });
  const audited = audit === undefined ? invoker : auditedInvoker(invoker, audit);
  const ends = new Ends(systemClock);
  const secretOf = (eventId: string) => callbackSecret(secretsKey, eventId);
  const deliveries = new Deliveries({
    store: store.deliveries,
    send: sender({ allowPrivate: config.CALLBACK_ALLOW_PRIVATE }),
    events,
    secretOf,
    clock: systemClock,
    random: Math.random,
    pollMs: QUEUE_POLL_MS,
    onError: (error) => log.warn({ err: error }, 'deliveries are held up'),
    onDelivery: (outcome) => metrics.delivered(outcome),
  });
  parts.defer(() => deliveries.close());
  const worker = new Worker({
    queue: store.queue,
    events,
    invoker: audited,
    resultBytes: config.MAX_RESPONSE_BYTES,
    clock: systemClock,
    random: Math.random,
    lease: `${dataDir.instanceId}:${uuidv7()}`,
    leaseMs: config.LEASE_MS,
    maxRunning: config.MAX_ASYNC_EXECUTIONS ?? Math.max(1, Math.floor(config.MAX_CONCURRENT_EXECUTIONS / 2)),
    pollMs: QUEUE_POLL_MS,
    outcomeOf: (claimed, attempted, ending) =>
      outcomeOf(claimed, attempted, ending, {
        events,
        newId: () => uuidv7(),
        onDropped: (reason, invocationId) =>
          log.warn({ invocationId }, `a destination is not called: ${reason}`),
      }),
    onEnded: (id) => {
      ends.tell(id);
      deliveries.wake();
      schedules.ended(id);
    },
    onError: (error) => log.warn({ err: error }, 'the queue is held up'),
    observer: metrics.queue,
  });
  store.onQueueChanged((change) => {
    if (change.kind === 'cancelled') worker.cancel(change.id);
    if (change.kind === 'ended') ends.tell(change.id);
    if (change.kind === 'queued') worker.wake();
    if (change.kind === 'unknown') {
      worker.wake();
      ends.tell();
    }
  });
  const group = new GroupCommit({
    queue: store.queue,
    admit: (request) =>
      COUNTED.has(request.trigger)
        ? admission.count(userKeyOf(request), tierOf(config.TIERS, request.caller.tier))
        : Promise.resolve(),
    onEnqueued: () => worker.wake(),
  });
  parts.defer(() => group.idle());
  const enqueuer = demandingEnqueuer(group, backend);
  for (const runtime of RUNTIMES) pools.keepWarm(defaultSpec(config, runtime, options));

  const ready = async () => {
    const reasons = [...pools.unready(), ...selfTests.failures()];
    await store.ping().catch((error) => reasons.push(`database: ${messageOf(error)}`));
    if (audit?.trouble !== undefined) reasons.push(`audit log: ${audit.trouble}`);
    return { ok: reasons.length === 0, reasons };
  };
  const replays = new Replays({
    store: store.replays,
    enqueuer,
    grade: backend,
    events,
    aliases,
    flush: async () => {
      await Promise.all([recorder.flush(), keeper.flush()]);
    },
    onEnqueued: () => worker.wake(),
    newId: () => uuidv7(),
    now: () => new Date(),
    random: Math.random,
  });
  const schedules = new ScheduleRunner({
    store: store.schedules,
    clock: systemClock,
    wallNow: Date.now,
    events,
    aliases,
    invocations: recorder,
    grade: backend,
    newId: () => uuidv7(),
    random: Math.random,
    onEnqueued: () => worker.wake(),
    onError: (error) => log.error({ err: error }, 'a schedule could not be run; trying again'),
  });
  store.onSchedulesChanged(() => schedules.wake());
  store.onQueueChanged((change) => {
    if (change.kind === 'ended') schedules.ended(change.id);
  });
  const app = createApp({
    config,
    events,
    aliases,
    schedules: store.schedules,
    invocations: {
      find: async (id) => invoker.inFlight(id) ?? recorder.find(id),
      listByEvent: (...query) => recorder.listByEvent(...query),
      listByStatus: (...query) => recorder.listByStatus(...query),
    },
    variables: store.variables,
    replays,
    invoker: keepingInvoker(audited, (call) => keeper.keep(call)),
    enqueuer,
    idempotency: store.idempotency,
    queue: locallyTold(store.queue, worker, ends),
    ends,
    callbackSecretOf: secretOf,
    pools: () => pools.status().map((pool) => ({ ...pool, selfTest: selfTests.of(pool.runtime) })),
    grade: backend,
    auth: rememberTokens(createAuthenticator({ ...config, JWT_SECRET: jwtSecret })),
    ready,
    newId: () => uuidv7(),
    now: () => new Date(),
    random: Math.random,
    logger: { error: (message, fields) => log.error(fields, message) },
    onAnswered: (request) => {
      onAnswered(request);
      audit?.answered(request);
    },
    audit,
    keySet: signer.keySet,
    metrics: { render: () => metrics.render(), token: config.METRICS_TOKEN },
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
    events,
    audit,
    jwtSecret,
    whenReady: async () => {
      while (closed === undefined && pools.unready().length > 0) await sleep(READY_POLL_MS);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Where no other gateway can be told, the database tells this one neither. */
function locallyTold(queue: QueueStore, worker: Worker, ends: Ends): AppDeps['queue'] {
  return {
    async cancel(id) {
      const was = await queue.cancel(id);
      if (was === 'running') worker.cancel(id);
      if (was === 'queued') ends.tell(id);
      return was;
    },
    async redrive(filter) {
      const count = await queue.redrive(filter);
      if (count > 0) worker.wake();
      return count;
    },
    result: (id) => queue.result(id),
  };
}

/** The same answer for as long as it is young enough. */
function atMostEvery<T>(ms: number, ask: () => Promise<T>): () => Promise<T> {
  let last: { at: number; answer: Promise<T> } | undefined;
  return () => {
    const now = performance.now();
    if (last === undefined || now - last.at >= ms) last = { at: now, answer: ask() };
    return last.answer;
  };
}

/** A backend that is there only after the signal is closed again; one that takes too long ends with this process. */
async function backendUnless<T extends { backend: SandboxBackend }>(
  signal: AbortSignal | undefined,
  detecting: Promise<T>,
): Promise<T> {
  if (signal === undefined) return detecting;
  const aborted = Promise.withResolvers<undefined>();
  const onAbort = () => aborted.resolve(undefined);
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const detected = await Promise.race([detecting, aborted.promise]);
    if (detected !== undefined) return detected;
    const tidied = detecting.then(({ backend }) => backend.close()).catch(() => {});
    await Promise.race([tidied, sleep(GIVE_UP_MS, undefined, { ref: false })]);
    throw signal.reason;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** What every way of isolating needs to know. */
export function detectOptions(
  config: Config,
  own: { instanceId: string; onProgress: (line: string) => void; onEngineError: (error: unknown) => void },
): DetectOptions {
  const { RESOURCE_LIMITS_ENABLED: limitsEnabled, SECURITY_LEVEL: level } = config;
  const engine = {
    ...own,
    limitsEnabled,
    level,
    runtimesDir: RUNTIMES_DIR,
    baseImages: baseImages(config),
  };
  return {
    docker: { ...engine, engine: 'docker', host: config.DOCKER_HOST },
    podman: { ...engine, engine: 'podman', host: config.PODMAN_HOST ?? config.CONTAINER_HOST },
    ociRuntime: config.RUNTIME,
    level,
    bubblewrap: {
      instanceId: own.instanceId,
      limitsEnabled,
      level,
      runtimesDir: RUNTIMES_DIR,
      node: process.execPath,
    },
  };
}

function createPools(config: Config, backend: SandboxBackend, log: Log, metrics: Metrics): Pools {
  return new Pools({
    backend,
    clock: systemClock,
    bootTimeoutMs: config.BOOT_TIMEOUT_MS,
    random: Math.random,
    onEngineError: (pool, error) => {
      metrics.engineFailed('boot');
      log.warn({ pool, err: error }, 'a sandbox did not boot');
    },
    targets: {
      min: config.POOL_MIN,
      target: config.POOL_TARGET,
      max: config.POOL_MAX,
      idleMs: config.POOL_IDLE_MS,
      maxAgeMs: config.POOL_MAX_AGE_MS,
    },
    maxBooting: config.BOOT_CONCURRENCY,
    maxSandboxes: config.MAX_SANDBOXES,
    isMemoryShort: memoryWatch(config.MIN_FREE_MEMORY_MB * 2 ** 20),
  });
}

function variableQuota({ MAX_VARIABLES, MAX_VARIABLES_BYTES }: Config): VariableQuota {
  return { maxCount: MAX_VARIABLES, maxBytes: MAX_VARIABLES_BYTES };
}

function invokerOptions(config: Config): ExecutionOptions {
  return {
    queueTimeoutMs: config.QUEUE_TIMEOUT_MS,
    pids: config.MAX_PIDS,
    tmpBytes: config.TMP_BYTES,
    runBytes: config.RUN_BYTES,
    tiers: config.TIERS,
    callLimits: {
      logBytes: config.MAX_LOG_BYTES,
      responseBytes: config.MAX_RESPONSE_BYTES,
      streamBytes: config.MAX_STREAM_BYTES,
      calls: MAX_VARIABLE_CALLS,
    },
  };
}

function defaultSpec(
  config: Config,
  runtime: SandboxSpec['runtime'],
  options: ExecutionOptions,
): SandboxSpec {
  const { pids, tmpBytes, runBytes } = options;
  const memoryBytes = config.DEFAULT_MEMORY_MB * 2 ** 20;
  return { runtime, memoryBytes, cpus: config.DEFAULT_CPUS, pids, tmpBytes, runBytes };
}
