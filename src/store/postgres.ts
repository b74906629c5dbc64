import {
  type Dialect,
  Kysely,
  PostgresDialect,
  type PostgresPool,
  type PostgresPoolClient,
  sql,
} from 'kysely';
import pg from 'pg';
import type { GatewayError } from '../errors.ts';
import { postgresSql, type StoreDialect } from './dialect.ts';
import type { Database, Schema } from './schema.ts';
import { Sockets } from './sockets.ts';
import { DatabaseError, unavailable } from './unavailable.ts';

const POOL_SIZE = 10;
const CONNECT_TIMEOUT_MS = 2_000;
const STATEMENT_TIMEOUT_MS = 5_000;
/** What the server does not end by itself, because it or the way to it is frozen, this side gives up. */
const QUERY_TIMEOUT_MS = STATEMENT_TIMEOUT_MS + 1_000;
/** A gateway that freezes within a transaction holds its row locks no longer than this. */
const IDLE_IN_TRANSACTION_MS = 10_000;
const INT8_OID = 20;

/**
 * SQLSTATEs, or classes of them, that say: not now. Connection exceptions, resources, operator intervention (shutdown,
 * statement timeout), system errors, serialization failures and deadlocks, a read-only server, lock not available.
 */
const TRANSIENT = /^(08|53|57|58|40|25006|25P0[34]|55P03)/;

/** Limits of every connection that serves calls; a URL's parameters take precedence. */
export function connectionOptions(url: string, sockets: Sockets): pg.ClientConfig {
  return {
    connectionString: url,
    application_name: 'cronium-gateway',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    stream: sockets.make,
    types: { getTypeParser: typeParser },
  };
}

/**
 * Postgres through node-postgres. Queries reject with `store_unavailable` when the server is away, or slower than the
 * limits; a connection that failed is not used again.
 */
export function postgresDialect(url: string, onError: (error: unknown) => void): StoreDialect {
  const away: Away = (cause) => {
    onError(cause);
    return unavailable(cause);
  };
  const connect = (options: pg.PoolConfig): Dialect => {
    const sockets = new Sockets();
    const pool = new pg.Pool({ ...connectionOptions(url, sockets), ...options });
    // Both, or the loss of a connection, idle or between two statements, would end the process.
    pool.on('error', onError);
    pool.on('connect', (client) => client.on('error', () => {}));
    return new PostgresDialect({ pool: guarded(pool, sockets, away) });
  };
  return {
    ...postgresSql,
    kysely: connect({
      max: POOL_SIZE,
      statement_timeout: STATEMENT_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
      idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    }),
    // The server answers a commit when it is on its disk.
    async durably() {},
    // Kysely's migrator takes an advisory lock by itself; a second gateway may wait long for the first one's migration.
    async exclusively(_db, run) {
      const patient = new Kysely<Schema>({ dialect: connect({ max: 1 }) });
      try {
        return await run(patient);
      } finally {
        await patient.destroy();
      }
    },
  };
}

function typeParser(oid: number, format?: 'text' | 'binary'): (text: string) => unknown {
  // Times are in ms: they fit.
  if (oid === INT8_OID && format !== 'binary') return Number;
  return pg.types.getTypeParser(oid, format as 'text');
}

type Away = (cause: unknown) => GatewayError;

/** The pool as Kysely wants it, with errors that say whether the database is away. */
function guarded(pool: pg.Pool, sockets: Sockets, away: Away): PostgresPool {
  return {
    options: pool.options,
    end: () => sockets.end(pool.end()),
    async connect() {
      const client = await pool.connect().catch((error: unknown) => {
        throw away(error);
      });
      return guardedClient(client, away);
    },
  };
}

function guardedClient(client: pg.PoolClient, away: Away): PostgresPoolClient {
  let broken = false;
  const query = async (text: string, parameters: readonly unknown[]): Promise<pg.QueryResult> => {
    try {
      return await client.query(text, [...parameters]);
    } catch (error) {
      if (error instanceof TypeError || error instanceof RangeError) throw error;
      // Said by the server, unless the connection is gone, or an answer may still come that belongs to nobody.
      const said = error instanceof pg.DatabaseError;
      if (!said || error.severity === 'FATAL') broken = true;
      if (said && !TRANSIENT.test(error.code ?? '')) throw error;
      throw away(error);
    }
  };
  return {
    // The overload for cursors is not needed.
    query: query as unknown as PostgresPoolClient['query'],
    release: (destroy = false) => client.release(destroy || broken),
  };
}

/** @throws DatabaseError when the database cannot hold every text */
export async function checkEncoding(db: Database): Promise<void> {
  const { rows } = await sql<{ server_encoding: string }>`show server_encoding`.execute(db);
  const encoding = rows[0]?.server_encoding;
  if (encoding === 'UTF8' || encoding === 'SQL_ASCII') return;
  throw new DatabaseError(
    `DATABASE_URL: the database's encoding is ${encoding}; make one with: createdb --encoding=UTF8 --template=template0`,
  );
}
