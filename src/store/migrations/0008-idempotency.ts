import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { StoreDialect } from '../dialect.ts';

export const idempotency = ({ text }: StoreDialect): Migration => ({
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('idempotency_keys')
      .addColumn('key', text, (column) => column.primaryKey())
      .addColumn('fingerprint', text, (column) => column.notNull())
      .addColumn('invocation_id', text, (column) => column.notNull())
      .addColumn('lease_until', 'bigint', (column) => column.notNull())
      .addColumn('expires_at', 'bigint', (column) => column.notNull())
      .addColumn('answer', text)
      .addColumn('body', text)
      .execute();
    await db.schema
      .createIndex('idempotency_keys_by_expiry')
      .on('idempotency_keys')
      .columns(['expires_at'])
      .execute();
  },
});
