import { type ColumnDataType, type Dialect, type Kysely, type RawBuilder, sql } from 'kysely';
import type { Database } from './schema.ts';

/** All that the two databases do not have in common; queries, schema and migrations are otherwise the same. */
export interface StoreDialect extends DialectSql {
  /** What Kysely works through; its connections end with the Kysely that it is given to. */
  readonly kysely: Dialect;
  /** Runs it while no other process does so on this database; it is given connections without limits of time. */
  exclusively<T>(db: Database, run: (db: Database) => Promise<T>): Promise<T>;
  /** Resolves when what was committed before is on the disk; rejects when that cannot be said. */
  durably(): Promise<void>;
}

/** The parts that are SQL alone. */
export interface DialectSql {
  /** Text that sorts by code point, whatever the database's locale. */
  readonly text: ColumnDataType | RawBuilder<unknown>;
  /** Whether several gateways may work on it at once. */
  readonly shared: boolean;
  /**
   * The queue's clock, ms since the epoch: one that all who share the database have in common, and that does not jump while they
   * run.
   */
  now(): RawBuilder<number>;
  /** Whether nobody else has this lock, which lasts as long as the transaction does. */
  tryLock(db: Database, key: number): Promise<boolean>;
  /** Waits until nobody else has the lock of this name, which lasts as long as the transaction does. */
  lock(db: Database, space: number, name: string): Promise<void>;
  /** Tells every gateway, when the transaction commits, where there can be others. */
  tellOfQueue(db: Database, message: string): Promise<void>;
  /** Makes the database refuse every update of the table. */
  makeImmutable(db: Kysely<unknown>, table: string, message: string): Promise<void>;
  /** Makes the database tell every gateway the `name` of each row of the table that changes, where there can be others. */
  notifyOfChanges(db: Kysely<unknown>, table: string): Promise<void>;
}

/** Where changes are told. Postgres has channels per database. */
export const CHANGES_CHANNEL = 'cronium_events_changed';
export const QUEUE_CHANNEL = 'cronium_queue_changed';

export const sqliteSql: DialectSql = {
  text: 'text',
  // One gateway has the file to itself.
  shared: false,
  // As the wall clock was at the start, and steady since.
  now: () => sql<number>`${Math.floor(performance.timeOrigin + performance.now())}`,
  tryLock: async () => true,
  // A transaction is alone.
  async lock() {},
  async tellOfQueue() {},
  async makeImmutable(db, table, message) {
    await sql`create trigger ${sql.id(`${table}_are_immutable`)} before update on ${sql.table(table)}
      begin select raise(abort, ${sql.lit(message)}); end`.execute(db);
  },
  async notifyOfChanges() {},
};

export const postgresSql: DialectSql = {
  text: sql`text collate "C"`,
  shared: true,
  now: () => sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint`,
  async tryLock(db, key) {
    const { rows } = await sql<{ ours: boolean }>`select pg_try_advisory_xact_lock(${key}) as ours`.execute(
      db,
    );
    return rows[0]?.ours === true;
  },
  async lock(db, space, name) {
    // Two names of one hash only wait for each other. Keys of two parts are apart from those of one.
    await sql`select pg_advisory_xact_lock(${space}::int, hashtext(${name}))`.execute(db);
  },
  async tellOfQueue(db, message) {
    await sql`select pg_notify(${QUEUE_CHANNEL}, ${message})`.execute(db);
  },
  async makeImmutable(db, table, message) {
    const name = sql.id(`${table}_are_immutable`);
    await sql`create function ${name}() returns trigger language plpgsql as
      ${sql.lit(`begin raise exception using message = ${quoted(message)}; end`)}`.execute(db);
    await sql`create trigger ${name} before update on ${sql.table(table)}
      for each row execute function ${name}()`.execute(db);
  },
  async notifyOfChanges(db, table) {
    const name = sql.id(`${table}_tell_changes`);
    const body = `begin
      if tg_op <> 'INSERT' then perform pg_notify(${quoted(CHANGES_CHANNEL)}, old.name); end if;
      if tg_op <> 'DELETE' then perform pg_notify(${quoted(CHANGES_CHANNEL)}, new.name); end if;
      return null;
    end`;
    await sql`create function ${name}() returns trigger language plpgsql as ${sql.lit(body)}`.execute(db);
    await sql`create trigger ${name} after insert or update or delete on ${sql.table(table)}
      for each row execute function ${name}()`.execute(db);
  },
};

const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;
