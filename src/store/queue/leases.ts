import { sql } from 'kysely';
import type { Claim } from '../../core/queue/queue.ts';
import { LONGEST_BACKOFF_MS } from '../../core/queue/settings.ts';
import type { StoreDialect } from '../dialect.ts';
import type { Database } from '../schema.ts';

/** Renews all claims of a lease in one statement. */
export async function renewLease(db: Database, dialect: StoreDialect, lease: string, leaseMs: number) {
  const rows = await db
    .updateTable('invocations')
    .set((eb) => ({ lease_until: eb(dialect.now(), '+', leaseMs) }))
    .where('lease_owner', '=', lease)
    .returning(['id', 'attempt', 'cancel_requested'])
    .execute();
  return rows.map((row) => ({
    id: row.id,
    attempt: row.attempt,
    cancelRequested: row.cancel_requested === 1,
  }));
}

/** A row that waits again, as columns. */
export const queuedAgain = {
  status: 'queued',
  lane: sql<string>`event_id`,
  lease_owner: null,
  lease_until: null,
} as const;

export async function releaseClaims(db: Database, claims: readonly Claim[]): Promise<void> {
  for (const { id, attempt, lease } of claims) {
    await db
      .updateTable('invocations')
      .set({ ...queuedAgain, due_at: 0 })
      .where('id', '=', id)
      .where('attempt', '=', attempt)
      .where('lease_owner', '=', lease)
      .execute();
  }
}

/**
 * What is held by a gateway that is dead waits again at once. Dead is whoever let the lease run out; an earlier run in the same
 * DATA_DIR, which this one has locked; and, where gateways cannot share the database, everybody else: no clock is asked then.
 * @param lease `<instance>:<run>`
 */
export async function reclaimLeases(db: Database, dialect: StoreDialect, lease: string): Promise<number> {
  const instance = lease.slice(0, lease.indexOf(':') + 1);
  // A back-off that is longer than any was reckoned by a clock that was wrong.
  const longest = sql<number>`${dialect.now()} + ${sql.lit(LONGEST_BACKOFF_MS)}`;
  await db
    .updateTable('invocations')
    .set({ due_at: longest })
    .where('lane', 'is not', null)
    .where('due_at', '>', longest)
    .where('attempt', '>', 0)
    .execute();
  const { numUpdatedRows } = await db
    .updateTable('invocations')
    .set((eb) => ({ ...queuedAgain, due_at: 0, crashes: eb('crashes', '+', 1) }))
    .where('lease_owner', 'is not', null)
    .where('lease_owner', '!=', lease)
    .$if(dialect.shared, (query) =>
      query.where((eb) =>
        eb.or([
          eb('lease_until', '<', dialect.now()),
          eb(sql<string>`substr(lease_owner, 1, ${sql.lit(instance.length)})`, '=', instance),
        ]),
      ),
    )
    .executeTakeFirst();
  return Number(numUpdatedRows);
}
