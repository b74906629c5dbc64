import { resolve } from 'node:path';
import type { Config } from '../config.ts';
import { Retention } from '../core/retention.ts';
import type { Store } from '../core/store.ts';
import type { Log } from '../logger.ts';
import type { Metrics } from '../observe/metrics.ts';
import { type CachedAliases, cacheAliases } from '../store/alias-cache.ts';
import { CallKeeper } from '../store/call-keeper.ts';
import { type CachedEvents, cacheEvents } from '../store/event-cache.ts';
import { WriteBehindRecorder } from '../store/recorder.ts';
import { openStore } from '../store/store.ts';

/** A sweep every five minutes; at most 4,000 rows a second while there is much to prune. */
const PRUNING = { everyMs: 300_000, pauseMs: 50, batchRows: 200 };

export interface DatabaseOptions {
  config: Config;
  /** Where SQLite's file is, when no other database is configured. */
  dataDir: string;
  secretsKey: Buffer;
  log: Log;
  metrics: Metrics;
}

/** The database, and what stands before it so that no call waits for it. */
export interface Database {
  store: Store;
  events: CachedEvents;
  aliases: CachedAliases;
  recorder: WriteBehindRecorder;
  keeper: CallKeeper;
}

/**
 * Opens the database, and prunes it from then on.
 * @throws SecretsKeyError
 */
export async function openDatabase(
  parts: AsyncDisposableStack,
  { config, dataDir, secretsKey, log, metrics }: DatabaseOptions,
): Promise<Database> {
  const store = parts.use(
    await openStore({
      ...(config.DATABASE_URL === undefined
        ? { path: resolve(dataDir, 'cronium.db') }
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
  parts.defer(() => closeRecorder(recorder, log));

  const retention = retentionOf(store, { config, log, metrics });
  parts.defer(() => retention.close());
  retention.start();

  const keeper = new CallKeeper({
    store: store.replays,
    maxBytes: config.KEEP_PAYLOAD_BYTES,
    onError: (error) => log.warn({ err: error }, 'calls were not kept, and cannot be run again'),
  });
  parts.defer(() => keeper.close());
  return { store, events, aliases, recorder, keeper };
}

async function closeRecorder(recorder: WriteBehindRecorder, log: Log): Promise<void> {
  const before = recorder.dropped;
  const lost = (await recorder.close()) - before;
  if (lost > 0)
    log.error(
      { lost },
      'records of invocations are lost: the database did not take them before the gateway ended, for the reasons logged above; end the gateway before its database',
    );
}

const DAY_MS = 86_400_000;

function retentionOf(
  store: Store,
  { config, log, metrics }: Pick<DatabaseOptions, 'config' | 'log' | 'metrics'>,
): Retention {
  return new Retention(store.retention, {
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
      // With the records of what they compared.
      async (limit) =>
        config.RETENTION_DAYS === 0
          ? 0
          : store.replays.prune(new Date(Date.now() - config.RETENTION_DAYS * DAY_MS), limit),
    ],
    now: () => new Date(),
    onPruned: (what, rows) => metrics.pruned(what, rows),
    onError: (error) => log.warn({ err: error }, 'old invocations could not be pruned; trying again later'),
  });
}
