import { sql } from 'kysely';
import type { InvocationStore } from '../../core/invocation-store.ts';
import type { Delivery, DeliveryStore } from '../../core/queue/deliveries.ts';
import type { StoreDialect } from '../dialect.ts';
import type { Database } from '../schema.ts';
import { findResult } from './questions.ts';

const MAX_ERROR_LENGTH = 500;

/** A delivery is leased by moving on the time at which it is due: there is nothing to renew in a try that is short. */
export function createDeliveryStore(
  db: Database,
  dialect: StoreDialect,
  invocations: InvocationStore,
): DeliveryStore {
  return {
    async claim(want, withinMs) {
      const now = dialect.now();
      const rows = await db
        .with('picked', (from) =>
          from
            .selectFrom('deliveries')
            .select('id')
            .where('due_at', '<=', now)
            .orderBy('due_at')
            .orderBy('id')
            .limit(want)
            .$if(dialect.shared, (query) => query.forUpdate().skipLocked()),
        )
        .updateTable('deliveries')
        .set((eb) => ({ attempt: eb('attempt', '+', 1), due_at: eb(now, '+', withinMs) }))
        .where('id', 'in', (eb) => eb.selectFrom('picked').select('id'))
        .returning(['id', 'invocation_id', 'kind', 'url', 'attempt'])
        .returning(sql<number>`${now} - queued_at`.as('age_ms'))
        .execute();
      return Promise.all(
        rows.map(async (row) => ({
          id: row.id,
          kind: row.kind as Delivery['kind'],
          url: row.url,
          attempt: row.attempt,
          ageMs: Number(row.age_ms),
          invocation: await invocations.find(row.invocation_id),
          result: await findResult(db, row.invocation_id),
        })),
      );
    },

    async end({ id, attempt }, status, error) {
      await db
        .updateTable('deliveries')
        .set({ status, due_at: null, error: error?.slice(0, MAX_ERROR_LENGTH) ?? null })
        .where('id', '=', id)
        .where('attempt', '=', attempt)
        .execute();
    },

    async retry({ id, attempt }, delayMs, error) {
      await db
        .updateTable('deliveries')
        .set({
          due_at: sql<number>`${dialect.now()} + ${sql.lit(Math.ceil(delayMs))}`,
          error: error.slice(0, MAX_ERROR_LENGTH),
        })
        .where('id', '=', id)
        .where('attempt', '=', attempt)
        .where('due_at', 'is not', null)
        .execute();
    },

    async nextDueMs() {
      const next = await db
        .selectFrom('deliveries')
        .select((eb) => eb(eb.ref('due_at'), '-', dialect.now()).as('ms'))
        .where('due_at', 'is not', null)
        .orderBy('due_at')
        .limit(1)
        .executeTakeFirst();
      return next && Math.max(0, Number(next.ms));
    },
  };
}
