import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { type SqliteDatabase, SqliteDialect, sql } from 'kysely';
import { LRUCache } from 'lru-cache';
import { type StoreDialect, sqliteSql } from './dialect.ts';
import { isUnavailable, unavailable } from './unavailable.ts';
import { WalSync } from './wal-sync.ts';

/** The driver blocks the process while it waits for another one's lock, and in service there is no other one. */
const BUSY_TIMEOUT_MS = 100;
/** How long a start waits for another process that migrates the same file. */
const MIGRATION_WAIT_MS = 30_000;
const RETRY_MS = 20;

type Prepared = ReturnType<SqliteDatabase['prepare']>;
/** Preparing a statement costs more than most of them do. */
const MAX_PREPARED = 256;
const MAX_PREPARED_CHARS = 4_096;

/** Primary result codes that say: not now. BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN. */
const TRANSIENT: ReadonlySet<number> = new Set([5, 6, 8, 10, 13, 14]);
const BUSY: ReadonlySet<number> = new Set([5, 6]);

/**
 * SQLite through Node's own driver. One connection: Kysely queues on it, so a transaction is alone.
 * The file is made readable by its owner only, because it holds everybody's code and logs.
 */
export async function sqliteDialect(path: string, onError: (error: unknown) => void): Promise<StoreDialect> {
  const database = await patiently(() => open(path));
  const log = new WalSync(path);
  return {
    ...sqliteSql,
    kysely: new SqliteDialect({ database: adapt(database, onError, () => log.close()) }),
    durably: () => log.sync(),
    exclusively: (db, run) =>
      db.connection().execute(async (connection) => {
        // Taken before anything is read, so that who waited sees what the other one did. DDL is transactional in SQLite.
        await patiently(() => sql`begin immediate`.execute(connection));
        try {
          const result = await run(connection);
          await sql`commit`.execute(connection);
          return result;
        } catch (error) {
          await sql`rollback`.execute(connection);
          throw error;
        }
      }),
  };
}

function open(path: string): DatabaseSync {
  if (path !== ':memory:') makeFile(path);
  const database = mapped(
    () => new DatabaseSync(path, { enableForeignKeyConstraints: true, timeout: BUSY_TIMEOUT_MS }),
  );
  try {
    // NORMAL with WAL survives the death of the process; only a power cut can lose the last commits.
    mapped(() => database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;'));
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function makeFile(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    closeSync(openSync(path, 'a', 0o600));
  } catch (error) {
    throw unavailable(error);
  }
}

async function patiently<T>(run: () => T | Promise<T>): Promise<T> {
  const end = performance.now() + MIGRATION_WAIT_MS;
  for (;;) {
    try {
      return await run();
    } catch (error) {
      if (!isUnavailable(error) || !BUSY.has(primaryCode(error.cause)) || performance.now() > end)
        throw error;
      await sleep(RETRY_MS);
    }
  }
}

/** Kysely expects better-sqlite3's shape: parameters as one array, and a statement that knows whether it returns rows. */
function adapt(
  database: DatabaseSync,
  onError: (error: unknown) => void,
  onClose: () => void,
): SqliteDatabase {
  const reported = <T>(run: () => T): T => {
    try {
      return mapped(run);
    } catch (error) {
      if (isUnavailable(error)) onError(error.cause);
      throw error;
    }
  };
  const prepared = new LRUCache<string, Prepared>({ max: MAX_PREPARED });
  const prepare = (text: string): Prepared => {
    const known = prepared.get(text);
    if (known !== undefined) return known;
    const statement = reported(() => database.prepare(text));
    const made = {
      reader: statement.columns().length > 0,
      all: (parameters: readonly unknown[]) => reported(() => statement.all(...parameters.map(bindable))),
      run: (parameters: readonly unknown[]) => reported(() => statement.run(...parameters.map(bindable))),
      // Of a statement of its own: rows that are read one by one do not end before the same is asked again.
      iterate: (parameters: readonly unknown[]) =>
        database.prepare(text).iterate(...parameters.map(bindable)),
    };
    // A long text inserts many rows, and seldom as many again.
    if (text.length <= MAX_PREPARED_CHARS) prepared.set(text, made);
    return made;
  };
  return {
    close() {
      prepared.clear();
      onClose();
      database.close();
    },
    prepare(text) {
      // A full disk may end a transaction, or keep it from ending: the next one must find none.
      if (text === 'begin' && database.isTransaction) reported(() => database.exec('rollback'));
      if (text === 'rollback' && !database.isTransaction) return NOTHING_TO_DO;
      return prepare(text);
    },
  };
}

const NOTHING_TO_DO: Prepared = {
  reader: false,
  all: () => [],
  run: () => ({ changes: 0, lastInsertRowid: 0 }),
  iterate: () => [][Symbol.iterator](),
};

function mapped<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw TRANSIENT.has(primaryCode(error)) ? unavailable(error) : error;
  }
}

/** Extended result codes have the primary one in their lowest byte. */
function primaryCode(error: unknown): number {
  const { errcode } = (error ?? {}) as { errcode?: unknown };
  return typeof errcode === 'number' ? errcode & 0xff : 0;
}

function bindable(value: unknown): SQLInputValue {
  if (
    value === null ||
    typeof value === 'string' ||
    typeof value === 'number' ||
    typeof value === 'bigint' ||
    value instanceof Uint8Array
  ) {
    return value;
  }
  throw new TypeError(`SQLite cannot hold a ${typeof value}`);
}
