import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { StoreDialect } from '../dialect.ts';

export const replays = ({ text }: StoreDialect): Migration => ({
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('replays')
      .addColumn('id', text, (column) => column.primaryKey())
      .addColumn('owner_id', text, (column) => column.notNull())
      .addColumn('event_name', text, (column) => column.notNull())
      .addColumn('version', 'integer', (column) => column.notNull())
      .addColumn('compare_to', 'integer')
      .addColumn('ignored', text, (column) => column.notNull())
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .execute();
    await db.schema
      .createTable('replay_items')
      .addColumn('replay_id', text, (column) => column.notNull().references('replays.id').onDelete('cascade'))
      .addColumn('position', 'integer', (column) => column.notNull())
      .addColumn('source_id', text, (column) => column.notNull())
      .addColumn('candidate_id', text, (column) => column.notNull())
      .addColumn('baseline_id', text)
      .addColumn('comparison', text)
      .addPrimaryKeyConstraint('replay_items_key', ['replay_id', 'position'])
      .execute();
  },
});
