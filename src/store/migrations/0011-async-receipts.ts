import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { StoreDialect } from '../dialect.ts';

/** The hash of the request of an invocation that waits, where its caller wants a receipt. */
export const asyncReceipts = ({ text }: StoreDialect): Migration => ({
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema.alterTable('invocations').addColumn('input_sha256', text).execute();
  },
});
