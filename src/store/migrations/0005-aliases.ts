import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { StoreDialect } from '../dialect.ts';

export const aliases = ({ text }: StoreDialect): Migration => ({
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('event_aliases')
      .addColumn('event_id', text, (column) => column.notNull().references('events.id').onDelete('cascade'))
      .addColumn('name', text, (column) => column.notNull())
      .addColumn('version', 'integer', (column) => column.notNull())
      .addColumn('split_version', 'integer')
      .addColumn('split_weight', 'double precision')
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .addColumn('updated_at', 'bigint', (column) => column.notNull())
      .addPrimaryKeyConstraint('event_aliases_key', ['event_id', 'name'])
      .execute();
  },
});
