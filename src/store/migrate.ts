import { Migrator } from 'kysely/migration';
import { first } from './migrations/0001-first.ts';
import type { Database } from './schema.ts';

/** Brings the schema up to date. A database that a newer gateway has migrated is refused, with its reason. */
export async function migrate(db: Database): Promise<void> {
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => ({ '0001-first': first }) },
  });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) throw error;
}
