import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { StoreDialect } from '../dialect.ts';

export const first = (dialect: StoreDialect): Migration => ({
  async up(db: Kysely<unknown>): Promise<void> {
    const { text } = dialect;
    await db.schema
      .createTable('meta')
      .addColumn('key', text, (column) => column.primaryKey())
      .addColumn('value', text, (column) => column.notNull())
      .execute();

    await db.schema
      .createTable('events')
      .addColumn('id', text, (column) => column.primaryKey())
      .addColumn('name', text, (column) => column.notNull().unique())
      .addColumn('owner_id', text, (column) => column.notNull())
      .addColumn('description', text, (column) => column.notNull())
      .addColumn('auth', text, (column) => column.notNull())
      .addColumn('enabled', 'integer', (column) => column.notNull())
      .addColumn('current_version', 'integer', (column) => column.notNull())
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .addColumn('updated_at', 'bigint', (column) => column.notNull())
      .execute();
    await db.schema.createIndex('events_of_owner').on('events').columns(['owner_id', 'name']).execute();

    await db.schema
      .createTable('event_versions')
      .addColumn('event_id', text, (column) => column.notNull().references('events.id').onDelete('cascade'))
      .addColumn('version', 'integer', (column) => column.notNull())
      .addColumn('runtime', text, (column) => column.notNull())
      .addColumn('code', text, (column) => column.notNull())
      .addColumn('code_sha256', text, (column) => column.notNull())
      .addColumn('timeout_ms', 'integer', (column) => column.notNull())
      .addColumn('memory_mb', 'integer', (column) => column.notNull())
      .addColumn('cpus', 'double precision', (column) => column.notNull())
      .addColumn('env', text, (column) => column.notNull())
      .addColumn('secrets', text, (column) => column.notNull())
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .addPrimaryKeyConstraint('event_versions_key', ['event_id', 'version'])
      .execute();
    await dialect.makeImmutable(db, 'event_versions', 'a version of an event never changes');
    await dialect.notifyOfChanges(db, 'events');

    await db.schema
      .createTable('invocations')
      .addColumn('id', text, (column) => column.primaryKey())
      .addColumn('event_id', text, (column) => column.notNull())
      .addColumn('event_name', text, (column) => column.notNull())
      .addColumn('event_version', 'integer', (column) => column.notNull())
      .addColumn('owner_id', text, (column) => column.notNull())
      .addColumn('caller_id', text)
      .addColumn('status', text, (column) => column.notNull())
      .addColumn('start_kind', text)
      .addColumn('isolation', text)
      .addColumn('phases', text, (column) => column.notNull())
      .addColumn('status_code', 'integer')
      .addColumn('exit', text)
      .addColumn('error', text)
      .addColumn('logs', text, (column) => column.notNull())
      .addColumn('logs_truncated', 'integer', (column) => column.notNull())
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .addColumn('ended_at', 'bigint')
      .execute();
    // Ids are UUIDs of version 7: their order is the order of time.
    await db.schema
      .createIndex('invocations_of_event')
      .on('invocations')
      .columns(['owner_id', 'event_name', 'id'])
      .execute();
  },
});
