import { Migrator } from 'kysely/migration';
import type { StoreDialect } from './dialect.ts';
import { first } from './migrations/0001-first.ts';
import { variables } from './migrations/0002-variables.ts';
import { durable } from './migrations/0003-durable.ts';
import { webhooks } from './migrations/0004-webhooks.ts';
import { aliases } from './migrations/0005-aliases.ts';
import { schedules } from './migrations/0006-schedules.ts';
import { receipts } from './migrations/0007-receipts.ts';
import { idempotency } from './migrations/0008-idempotency.ts';
import { levels } from './migrations/0009-levels.ts';
import { replays } from './migrations/0010-replays.ts';
import { asyncReceipts } from './migrations/0011-async-receipts.ts';
import type { Database } from './schema.ts';
import { DatabaseError } from './unavailable.ts';

/**
 * Brings the schema up to date, one process at a time. What fails leaves nothing half done.
 * @param check looks at the database as it is then, still alone with it; what it throws undoes everything
 * @throws DatabaseError when a newer gateway has migrated this database
 */
export async function migrate(
  dialect: StoreDialect,
  db: Database,
  check: (db: Database) => Promise<void>,
): Promise<void> {
  const migrations = {
    '0001-first': first(dialect),
    '0002-variables': variables(dialect),
    '0003-durable': durable(dialect),
    '0004-webhooks': webhooks(dialect),
    '0005-aliases': aliases(dialect),
    '0006-schedules': schedules(dialect),
    '0007-receipts': receipts(dialect),
    '0008-idempotency': idempotency(dialect),
    '0009-levels': levels(dialect),
    '0010-replays': replays(dialect),
    '0011-async-receipts': asyncReceipts(dialect),
  };
  await dialect.exclusively(db, async (connection) => {
    const migrator = new Migrator({ db: connection, provider: { getMigrations: async () => migrations } });
    const { error } = await migrator.migrateToLatest();
    if (error === undefined) return check(connection);
    const known = new Set(Object.keys(migrations));
    const unknown = (await executed(connection)).filter((name) => !known.has(name));
    if (unknown.length === 0) throw error;
    throw new DatabaseError(
      `The database was migrated by a newer gateway, and this one does not know ${unknown.join(', ')}. Start that version again, or restore a copy from before.`,
    );
  });
}

async function executed(db: Database): Promise<string[]> {
  const rows = await db
    .withTables<{ kysely_migration: { name: string } }>()
    .selectFrom('kysely_migration')
    .select('name')
    .execute()
    // The reason why the migrator failed is the one to tell.
    .catch(() => []);
  return rows.map((row) => row.name);
}
