import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { StoreDialect } from '../dialect.ts';

/** The invocations table becomes a queue. What is big has tables of its own, so that claims and lists read small rows. */
export const durable = (dialect: StoreDialect): Migration => ({
  async up(db: Kysely<unknown>): Promise<void> {
    const { text } = dialect;
    const add = (table: string, column: string, type: typeof text, fallback?: string | number) =>
      db.schema
        .alterTable(table)
        .addColumn(column, type, (built) =>
          fallback === undefined ? built : built.notNull().defaultTo(fallback),
        )
        .execute();

    await add('invocations', 'trigger', text, 'http');
    await add('invocations', 'attempt', 'integer', 0);
    await add('invocations', 'failures', 'integer', 0);
    await add('invocations', 'crashes', 'integer', 0);
    await add('invocations', 'depth', 'integer', 0);
    await add('invocations', 'cancel_requested', 'integer', 0);
    await add('invocations', 'lane', text);
    await add('invocations', 'due_at', 'bigint');
    await add('invocations', 'queued_at', 'bigint');
    await add('invocations', 'lease_owner', text);
    await add('invocations', 'lease_until', 'bigint');
    await add('invocations', 'traceparent', text);
    await add('invocations', 'callback_url', text);
    await add('invocations', 'replay_of', text);
    await add('invocations', 'caller_tier', text);
    await add('events', 'async', text, '{}');
    await add('events', 'async_concurrency', 'integer');

    // Only what waits or runs is in these: they are as quick beside a million records as beside none.
    const index = (name: string, columns: string[], predicate: string) =>
      sql`create index ${sql.id(name)} on invocations (${sql.join(columns.map((column) => sql.id(column)))})
        where ${sql.raw(predicate)}`.execute(db);
    await index('invocations_queued', ['owner_id', 'lane', 'due_at', 'id'], 'lane is not null');
    await index('invocations_due', ['due_at', 'queued_at'], 'lane is not null');
    await index('invocations_leased', ['event_id', 'lease_owner'], 'lease_owner is not null');
    await index('invocations_dead', ['owner_id', 'event_name', 'id'], "status = 'dead'");

    await db.schema
      .createTable('invocation_payloads')
      .addColumn('invocation_id', text, (column) => column.primaryKey())
      .addColumn('payload', text, (column) => column.notNull())
      .execute();
    await db.schema
      .createTable('invocation_results')
      .addColumn('invocation_id', text, (column) => column.primaryKey())
      .addColumn('status_code', 'integer', (column) => column.notNull())
      .addColumn('headers', text, (column) => column.notNull())
      .addColumn('cookies', text, (column) => column.notNull())
      .addColumn('body', text, (column) => column.notNull())
      .addColumn('is_base64', 'integer', (column) => column.notNull())
      .execute();

    await db.schema
      .createTable('dedup_keys')
      .addColumn('scope', text, (column) => column.notNull())
      .addColumn('key', text, (column) => column.notNull())
      .addColumn('invocation_id', text, (column) => column.notNull())
      .addColumn('expires_at', 'bigint', (column) => column.notNull())
      .addPrimaryKeyConstraint('dedup_keys_key', ['scope', 'key'])
      .execute();
    await db.schema.createIndex('dedup_keys_expiring').on('dedup_keys').column('expires_at').execute();

    await db.schema
      .createTable('deliveries')
      .addColumn('id', text, (column) => column.primaryKey())
      .addColumn('invocation_id', text, (column) => column.notNull())
      .addColumn('kind', text, (column) => column.notNull())
      .addColumn('url', text, (column) => column.notNull())
      .addColumn('status', text, (column) => column.notNull())
      .addColumn('attempt', 'integer', (column) => column.notNull())
      .addColumn('due_at', 'bigint')
      .addColumn('queued_at', 'bigint', (column) => column.notNull())
      .addColumn('error', text)
      .execute();
    await sql`create index deliveries_due on deliveries (due_at, id) where due_at is not null`.execute(db);
    await db.schema
      .createIndex('deliveries_of_invocation')
      .on('deliveries')
      .column('invocation_id')
      .execute();
  },
});
