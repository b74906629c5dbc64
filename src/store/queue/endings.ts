import { sql, type UpdateObject } from 'kysely';
import type { AttemptRecord, Claim, Ending, Retry } from '../../core/queue/queue.ts';
import type { StoreDialect } from '../dialect.ts';
import { resultRow } from '../result-rows.ts';
import type { Database, Schema } from '../schema.ts';
import { withoutNul } from '../text.ts';
import { insertQueued } from './insert.ts';
import { queuedAgain } from './leases.ts';

/** Writes what came of a claim, unless it was lost meanwhile. */
export async function writeEnd(
  db: Database,
  dialect: StoreDialect,
  claim: Claim,
  ending: Ending,
): Promise<boolean> {
  const { status, record, result, deliveries = [], next = [] } = ending;
  return db.transaction().execute(async (tx) => {
    const held = await update(tx, claim, {
      ...columnsOf(record),
      status,
      lease_owner: null,
      lease_until: null,
      ended_at: Date.now(),
      // Of an attempt that another one follows there is none: it vouches for how the invocation ended.
      receipt: record.receipt ?? null,
      failures: sql<number>`failures + ${sql.lit(ending.failed ? 1 : 0)}`,
    });
    if (!held) return false;
    await tx.deleteFrom('invocation_results').where('invocation_id', '=', claim.id).execute();
    if (result !== undefined) {
      await tx.insertInto('invocation_results').values(resultRow(claim.id, result)).execute();
    }
    for (const { id, kind, url } of deliveries) {
      const row = { id, invocation_id: claim.id, kind, url, status: 'queued', attempt: 0, due_at: 0 };
      await tx
        .insertInto('deliveries')
        .values({ ...row, queued_at: dialect.now(), error: null })
        .execute();
    }
    await insertQueued(tx, dialect, next);
    if (next.length > 0 || deliveries.length > 0) await dialect.tellOfQueue(tx, 'queued');
    await dialect.tellOfQueue(tx, `ended ${claim.id}`);
    return true;
  });
}

export async function writeRetry(
  db: Database,
  dialect: StoreDialect,
  claim: Claim,
  { record, delayMs, failed }: Retry,
): Promise<boolean> {
  return update(db, claim, {
    ...columnsOf(record),
    ...queuedAgain,
    due_at: delayMs > 0 ? sql<number>`${dialect.now()} + ${sql.lit(Math.ceil(delayMs))}` : 0,
    failures: sql<number>`failures + ${sql.lit(failed ? 1 : 0)}`,
  });
}

/** The fence: whoever does not hold the claim any more writes nothing. */
async function update(
  db: Database,
  claim: Claim,
  columns: UpdateObject<Schema, 'invocations'>,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('invocations')
    .set(columns)
    .where('id', '=', claim.id)
    .where('attempt', '=', claim.attempt)
    .where('lease_owner', '=', claim.lease)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

function columnsOf(record: AttemptRecord): UpdateObject<Schema, 'invocations'> {
  return {
    start_kind: record.start,
    isolation: record.isolation,
    security_level: record.securityLevel ?? null,
    phases: JSON.stringify(record.phases),
    status_code: record.statusCode,
    exit: record.exit && JSON.stringify(record.exit),
    error: record.error && JSON.stringify(record.error),
    logs: withoutNul(record.logs),
    logs_truncated: record.logsTruncated ? 1 : 0,
  };
}
