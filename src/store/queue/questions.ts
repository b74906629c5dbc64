import { sql } from 'kysely';
import type { InvocationStatus } from '../../core/invocation.ts';
import type { QueueDepth, RedriveFilter, StoredResult } from '../../core/queue/queue.ts';
import type { StoreDialect } from '../dialect.ts';
import { toResult } from '../result-rows.ts';
import type { Database } from '../schema.ts';

/** Counted so far and no further: who reads metrics must not hold up who works. */
const MAX_COUNT = 1_000_000;

export async function nextDueMs(db: Database, dialect: StoreDialect): Promise<number | undefined> {
  const now = dialect.now();
  const next = await db
    .selectFrom('invocations')
    .select((eb) => eb(eb.ref('due_at'), '-', now).as('ms'))
    .where('lane', 'is not', null)
    .where('due_at', '>', now)
    .orderBy('due_at')
    .limit(1)
    .executeTakeFirst();
  return next && Number(next.ms);
}

export async function depthOf(db: Database, dialect: StoreDialect): Promise<QueueDepth> {
  const now = dialect.now();
  const { rows } = await sql<{ queued: number; running: number; oldest: number | null }>`
    select
      (select count(*) from (select 1 as one from invocations where lane is not null limit ${sql.lit(MAX_COUNT)}) as w) as queued,
      (select count(*) from invocations where lease_owner is not null) as running,
      (select ${now} - queued_at from invocations where lane is not null and due_at <= ${now}
        order by due_at, queued_at limit 1) as oldest`.execute(db);
  const { queued, running, oldest } = rows[0]!;
  return { queued: Number(queued), running: Number(running), oldestAgeMs: Math.max(0, Number(oldest ?? 0)) };
}

/** What waits is cancelled; what runs is marked, and its gateway told. */
export async function cancelInvocation(
  db: Database,
  dialect: StoreDialect,
  id: string,
): Promise<InvocationStatus | undefined> {
  return db.transaction().execute(async (tx) => {
    const waiting = await tx
      .updateTable('invocations')
      .set({ status: 'cancelled', lane: null, due_at: null, ended_at: Date.now() })
      .where('id', '=', id)
      .where('lane', 'is not', null)
      .executeTakeFirst();
    if (waiting.numUpdatedRows === 1n) {
      await dialect.tellOfQueue(tx, `ended ${id}`);
      return 'queued';
    }
    const running = await tx
      .updateTable('invocations')
      .set({ cancel_requested: 1 })
      .where('id', '=', id)
      .where('lease_owner', 'is not', null)
      .executeTakeFirst();
    if (running.numUpdatedRows === 1n) {
      await dialect.tellOfQueue(tx, `cancelled ${id}`);
      return 'running';
    }
    const row = await tx.selectFrom('invocations').select('status').where('id', '=', id).executeTakeFirst();
    return row?.status as InvocationStatus | undefined;
  });
}

export async function redriveDead(
  db: Database,
  dialect: StoreDialect,
  { ownerId, eventName, ids, before, limit }: RedriveFilter,
): Promise<number> {
  return db.transaction().execute(async (tx) => {
    const { numUpdatedRows } = await tx
      .updateTable('invocations')
      .set({
        status: 'queued',
        lane: sql<string>`event_id`,
        due_at: 0,
        queued_at: dialect.now(),
        failures: 0,
        crashes: 0,
        cancel_requested: 0,
        ended_at: null,
        receipt: null,
      })
      .where('id', 'in', (eb) => {
        let dead = eb
          .selectFrom('invocations')
          .innerJoin('invocation_payloads', 'invocation_payloads.invocation_id', 'invocations.id')
          .select('invocations.id')
          .where('owner_id', '=', ownerId)
          .where(sql<boolean>`status = 'dead'`);
        if (eventName !== undefined) dead = dead.where('event_name', '=', eventName);
        if (ids !== undefined) dead = dead.where('invocations.id', 'in', [...ids]);
        if (before !== undefined) dead = dead.where('created_at', '<', before.getTime());
        return dead.orderBy('invocations.id').limit(limit);
      })
      // Looked at once more under the row's lock: of two redrives at once one counts it.
      .where(sql<boolean>`status = 'dead'`)
      .executeTakeFirst();
    if (numUpdatedRows > 0n) await dialect.tellOfQueue(tx, 'queued');
    return Number(numUpdatedRows);
  });
}

export async function findResult(db: Database, id: string): Promise<StoredResult | undefined> {
  const row = await db
    .selectFrom('invocation_results')
    .selectAll()
    .where('invocation_id', '=', id)
    .executeTakeFirst();
  return row && toResult(row);
}
