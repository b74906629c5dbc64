import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { StoreDialect } from '../dialect.ts';

/** What a version demands of what isolates it, and what an invocation was given. */
export const levels = ({ text }: StoreDialect): Migration => ({
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema.alterTable('event_versions').addColumn('min_isolation', text).execute();
    await db.schema.alterTable('invocations').addColumn('security_level', text).execute();
  },
});
