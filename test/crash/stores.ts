import { DatabaseSync } from 'node:sqlite';
import { TempDir } from '../e2e/processes.ts';
import type { PostgresServer } from '../postgres.ts';

/** A database of a gateway that dies, looked at from beside it. */
export interface Store extends Disposable {
  /** Settings of each gateway in turn that works on it. */
  env: Record<string, string>;
  dataDir: string;
  query(sql: string): Promise<Record<string, unknown>[]>;
}

/** Of gateways that share a database, all must know what its secrets are sealed with. */
const SECRETS_KEY = Buffer.alloc(32, 7).toString('base64');

/** @param parent where its folder is made, the one for temporary files when not given */
export async function sqliteStore(parent?: string): Promise<Store> {
  const dir = new TempDir(parent);
  const dataDir = `${dir.path}/data`;
  return {
    env: { SECRETS_KEY },
    dataDir,
    async query(sql) {
      const database = new DatabaseSync(`${dataDir}/cronium.db`, { readOnly: true });
      try {
        return database.prepare(sql).all();
      } finally {
        database.close();
      }
    },
    [Symbol.dispose]: () => dir[Symbol.dispose](),
  };
}

export async function postgresStore(server: PostgresServer): Promise<Store> {
  const dir = new TempDir();
  const url = await server.createDatabase();
  return {
    env: { SECRETS_KEY, DATABASE_URL: url },
    dataDir: `${dir.path}/data`,
    query: (sql) => server.query(sql, url),
    [Symbol.dispose]: () => dir[Symbol.dispose](),
  };
}
