import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { StoreDialect } from '../dialect.ts';

/** The signed receipt of an invocation, where its caller asked for one. */
export const receipts = ({ text }: StoreDialect): Migration => ({
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema.alterTable('invocations').addColumn('receipt', text).execute();
  },
});
