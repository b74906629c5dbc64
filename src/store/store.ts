import { Kysely, sql } from 'kysely';
import type { QueueChange } from '../core/queue/queue.ts';
import type { Store } from '../core/store.ts';
import { createAliasStore } from './aliases.ts';
import { createEventStore } from './events.ts';
import { createIdempotencyStore } from './idempotency.ts';
import { createInvocationStore } from './invocations.ts';
import { migrate } from './migrate.ts';
import { createDeliveryStore } from './queue/deliveries.ts';
import { createQueueStore } from './queue/queue.ts';
import { createReplayStore } from './replays.ts';
import { createRetentionStore } from './retention.ts';
import { createScheduleStore } from './schedules.ts';
import type { Database, Schema } from './schema.ts';
import { createSecretBox, type SecretBox } from './secret-box.ts';
import { sqliteDialect } from './sqlite.ts';
import { startError } from './unavailable.ts';
import { createVariableStore } from './variables.ts';

const REPORT_EVERY_MS = 1_000;

/** Where the data is. */
export type StoreLocation =
  /** SQLite: the database's file, made when there is none; `:memory:` for one that goes with the process. */
  | { path: string; url?: undefined }
  /** Postgres. */
  | { url: string; path?: undefined };

export type StoreOptions = StoreLocation & {
  /** 32 bytes that encrypt the secrets of events. */
  secretsKey: Uint8Array;
  now?: () => Date;
  /** Hears why the database is away, or of a connection that was lost, once a second at most; may not throw. */
  onError?: (error: unknown) => void;
};

/**
 * Opens the database and brings its schema up to date.
 * @throws SecretsKeyError when the database was made with another key
 * @throws DatabaseError when it cannot be used, or was migrated by a newer gateway
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  try {
    return await open(options);
  } catch (error) {
    throw startError(options.url === undefined ? 'DATA_DIR' : 'DATABASE_URL', error);
  }
}

async function open({ url, path, secretsKey, now = () => new Date(), ...options }: StoreOptions) {
  const onError = seldom(options.onError ?? (() => {}));
  const box = createSecretBox(secretsKey);
  await using parts = new AsyncDisposableStack();
  // Postgres' driver is loaded where it is used: it takes memory, and most gateways run on SQLite.
  const dialect =
    url === undefined
      ? await sqliteDialect(path, onError)
      : (await import('./postgres.ts')).postgresDialect(url, onError);
  const db = new Kysely<Schema>({ dialect: dialect.kysely });
  parts.defer(() => db.destroy());
  if (url !== undefined) await (await import('./postgres.ts')).checkEncoding(db);
  await migrate(dialect, db, (alone) => checkKey(alone, box));

  const listeners = new Set<(name: string | undefined) => void>();
  const queueListeners = new Set<(change: QueueChange) => void>();
  const scheduleListeners = new Set<() => void>();
  const onSchedules = () => {
    for (const listener of scheduleListeners) listener();
  };
  if (url !== undefined) {
    const { ChangeListener } = await import('./listener.ts');
    const onChange = (name: string | undefined) => {
      for (const listener of listeners) listener(name);
    };
    const onQueue = (message: string | undefined) => {
      const change = parseChange(message);
      for (const listener of queueListeners) listener(change);
      if (change.kind === 'scheduled' || change.kind === 'unknown') onSchedules();
    };
    await parts.use(new ChangeListener({ url, onChange, onQueue, onError })).open();
  }
  const invocations = createInvocationStore(db);
  const opened = parts.move();
  let closed: Promise<void> | undefined;
  return {
    events: createEventStore(db, box, now),
    aliases: createAliasStore(db, now),
    invocations,
    deliveries: createDeliveryStore(db, dialect, invocations),
    queue: createQueueStore(db, dialect),
    idempotency: createIdempotencyStore(db, now),
    variables: createVariableStore(db, box, now),
    retention: createRetentionStore(db, dialect),
    replays: createReplayStore(db, dialect),
    schedules: createScheduleStore(db, { dialect, now, onChanged: onSchedules }),
    onEventChanged(listener: (name: string | undefined) => void) {
      listeners.add(listener);
    },
    onQueueChanged(listener: (change: QueueChange) => void) {
      queueListeners.add(listener);
    },
    onSchedulesChanged(listener: () => void) {
      scheduleListeners.add(listener);
    },
    async ping() {
      await sql`select 1`.execute(db);
    },
    [Symbol.asyncDispose]() {
      closed ??= opened.disposeAsync();
      return closed;
    },
  };
}

function parseChange(message: string | undefined): QueueChange {
  const [kind, id = ''] = (message ?? '').split(' ');
  if (kind === 'queued' || kind === 'scheduled') return { kind };
  if (kind === 'ended' || kind === 'cancelled') return { kind, id };
  return { kind: 'unknown' };
}

/** Every call fails while the database is away: one of them is enough to say why. */
function seldom(report: (error: unknown) => void): (error: unknown) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (error) => {
    if (performance.now() - last < REPORT_EVERY_MS) return;
    last = performance.now();
    report(error);
  };
}

/** A wrong key is found at start and not at the first call of a function: the database holds something to try it on. */
async function checkKey(db: Database, box: SecretBox): Promise<void> {
  const key = 'secrets_key_check';
  await db
    .insertInto('meta')
    .values({ key, value: box.seal('cronium', key) })
    .onConflict((conflict) => conflict.column('key').doNothing())
    .execute();
  const { value } = await db
    .selectFrom('meta')
    .select('value')
    .where('key', '=', key)
    .executeTakeFirstOrThrow();
  box.open(value, key);
}
