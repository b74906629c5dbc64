import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { StoreDialect } from '../dialect.ts';

export const schedules = ({ text }: StoreDialect): Migration => ({
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('schedules')
      .addColumn('id', text, (column) => column.primaryKey())
      .addColumn('owner_id', text, (column) => column.notNull())
      .addColumn('tier', text)
      .addColumn('name', text, (column) => column.notNull())
      .addColumn('event_name', text, (column) => column.notNull())
      .addColumn('target', text, (column) => column.notNull())
      .addColumn('cron', text)
      .addColumn('at', 'bigint')
      .addColumn('time_zone', text, (column) => column.notNull())
      .addColumn('payload', text, (column) => column.notNull())
      .addColumn('enabled', 'integer', (column) => column.notNull())
      .addColumn('disabled_reason', text)
      .addColumn('catch_up', text, (column) => column.notNull())
      .addColumn('overlap', text, (column) => column.notNull())
      .addColumn('max_runs', 'integer')
      .addColumn('jitter_ms', 'integer', (column) => column.notNull())
      .addColumn('next_at', 'bigint')
      .addColumn('fire_at', 'bigint')
      .addColumn('held', 'integer', (column) => column.notNull())
      .addColumn('last_due_at', 'bigint')
      .addColumn('last_run_at', 'bigint')
      .addColumn('last_invocation_id', text)
      .addColumn('runs', 'integer', (column) => column.notNull())
      .addColumn('skipped', 'integer', (column) => column.notNull())
      .addColumn('last_skipped_at', 'bigint')
      .addColumn('last_skip_reason', text)
      .addColumn('revision', 'integer', (column) => column.notNull())
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .addColumn('updated_at', 'bigint', (column) => column.notNull())
      .addUniqueConstraint('schedules_name', ['owner_id', 'name'])
      .execute();
    await db.schema.createIndex('schedules_due').on('schedules').column('fire_at').execute();
    await db.schema
      .createIndex('schedules_of_event')
      .on('schedules')
      .columns(['owner_id', 'event_name'])
      .execute();
  },
});
