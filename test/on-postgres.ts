import { afterAll, beforeAll } from 'vitest';
import { findPostgres, type PostgresServer, startPostgres } from './postgres.ts';
import { suiteWhere } from './suite-where.ts';

/**
 * Runs a suite on a Postgres server of its own, which hooks and tests get by calling `server`: it starts before them and is
 * gone after them. See {@link suiteWhere} for a machine that has no Postgres.
 */
export function onPostgres(title: string, suite: (server: () => PostgresServer) => void): void {
  const bin = findPostgres();
  const missing =
    bin === undefined ? 'no Postgres server programs; on Debian: apt-get install postgresql' : undefined;
  suiteWhere(title, missing, () => {
    let server: PostgresServer | undefined;
    beforeAll(async () => {
      server = await startPostgres(bin!);
    });
    afterAll(() => server?.[Symbol.asyncDispose]());
    suite(() => server!);
  });
}
