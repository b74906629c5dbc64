import { sql } from 'kysely';
import type { PruneBatch, Pruned, PruneResult, RetentionStore } from '../core/retention.ts';
import type { StoreDialect } from './dialect.ts';
import type { Database } from './schema.ts';

/** Of the advisory lock that lets one gateway prune at a time; any number that nobody else uses. */
const LOCK = 7_236_501;
/** Rows of a batch are fewer where their logs are large: what is deleted has to be read. */
const BATCH_LOG_BYTES = 2 * 2 ** 20;

interface Row {
  id: string;
  bytes: number;
  isOld: number;
}

/** Pruning in SQL: by the primary key, whose order is that of time, and never more than a batch in one transaction. */
export function createRetentionStore(db: Database, dialect: StoreDialect): RetentionStore {
  const alone = <T>(run: (tx: Database) => Promise<T>): Promise<T | undefined> =>
    db.transaction().execute(async (tx) => ((await dialect.tryLock(tx, LOCK)) ? run(tx) : undefined));

  const page = async (tx: Database, what: Pruned, { after, upTo, endedBefore, limit }: PruneBatch) => {
    // Without its payload a dead letter is of no use: they go together.
    const busy = what === 'bodies' ? ['queued', 'running', 'dead'] : ['queued', 'running'];
    let query = tx
      .selectFrom('invocations')
      .select([
        'id',
        sql<number>`octet_length(logs)`.as('bytes'),
        sql<number>`case when ended_at < ${endedBefore.getTime()} and status not in (${sql.join(busy)})
          and not exists (select 1 from deliveries where invocation_id = invocations.id and due_at is not null)
          then 1 else 0 end`.as('isOld'),
      ])
      .where('id', '>', after)
      // What was accepted later cannot have ended before.
      .where('id', '<', firstIdAt(endedBefore));
    if (upTo !== undefined) query = query.where('id', '<=', upTo);
    const rows: Row[] = await query
      .orderBy('id')
      .limit(limit)
      // One that is being changed is looked at another time.
      .$if(dialect.shared, (locked) => locked.forUpdate().skipLocked())
      .execute();
    let bytes = 0;
    const fits = rows.findIndex((row, index) => {
      bytes += Number(row.bytes);
      return index > 0 && bytes > BATCH_LOG_BYTES;
    });
    const taken = fits === -1 ? rows : rows.slice(0, fits);
    const isLast = taken.length === rows.length && rows.length < limit;
    return { taken, next: isLast ? undefined : taken.at(-1)?.id };
  };

  return {
    prune: (what, batch) =>
      alone(async (tx): Promise<PruneResult> => {
        const { taken, next } = await page(tx, what, batch);
        const ids = taken.filter(({ isOld }) => isOld === 1).map(({ id }) => id);
        const pruned = ids.length === 0 ? 0 : await REMOVE[what](tx, ids);
        return { pruned, next, firstKept: taken.find(({ isOld }) => isOld === 0)?.id };
      }),

    pruneExpired: (limit) =>
      alone(async (tx) => {
        const expired = await tx
          .selectFrom('dedup_keys')
          .select(['scope', 'key'])
          .where('expires_at', '<=', dialect.now())
          .orderBy('expires_at')
          .limit(limit)
          .execute();
        for (const { scope, key } of expired) {
          // Its time may have been renewed since.
          await tx
            .deleteFrom('dedup_keys')
            .where('scope', '=', scope)
            .where('key', '=', key)
            .where('expires_at', '<=', dialect.now())
            .execute();
        }
        return expired.length;
      }),

    async bodySizes({ before, limit }) {
      const ids = (table: 'invocation_payloads' | 'invocation_results') => {
        const query = db.selectFrom(table).select('invocation_id as id');
        return (before === undefined ? query : query.where('invocation_id', '<', before))
          .orderBy('invocation_id', 'desc')
          .limit(limit);
      };
      const [payloads, results] = [
        await ids('invocation_payloads').execute(),
        await ids('invocation_results').execute(),
      ];
      const newest = [...new Set([...payloads, ...results].map(({ id }) => id))]
        .sort()
        .reverse()
        .slice(0, limit);
      if (newest.length === 0) return [];
      const sizes = new Map(newest.map((id) => [id, 0]));
      const add = (rows: readonly { id: string; bytes: number }[]) => {
        for (const { id, bytes } of rows) sizes.set(id, sizes.get(id)! + Number(bytes));
      };
      add(
        await db
          .selectFrom('invocation_payloads')
          .select(['invocation_id as id', sql<number>`octet_length(payload)`.as('bytes')])
          .where('invocation_id', 'in', newest)
          .execute(),
      );
      add(
        await db
          .selectFrom('invocation_results')
          .select(['invocation_id as id', sql<number>`octet_length(body)`.as('bytes')])
          .where('invocation_id', 'in', newest)
          .execute(),
      );
      return [...sizes].map(([id, bytes]) => ({ id, bytes }));
    },
  };
}

/** How many rows went. */
const REMOVE: Readonly<Record<Pruned, (tx: Database, ids: string[]) => Promise<number>>> = {
  async records(tx, ids) {
    await removeBodies(tx, ids);
    await tx.deleteFrom('deliveries').where('invocation_id', 'in', ids).where('due_at', 'is', null).execute();
    const { numDeletedRows } = await tx.deleteFrom('invocations').where('id', 'in', ids).executeTakeFirst();
    return Number(numDeletedRows);
  },
  bodies: removeBodies,
  async logs(tx, ids) {
    const { numUpdatedRows } = await tx
      .updateTable('invocations')
      .set({ logs: '', logs_truncated: 1 })
      .where('id', 'in', ids)
      .where('logs', '<>', '')
      .executeTakeFirst();
    return Number(numUpdatedRows);
  },
};

async function removeBodies(tx: Database, ids: string[]): Promise<number> {
  let removed = 0;
  for (const table of ['invocation_payloads', 'invocation_results'] as const) {
    const result = await tx.deleteFrom(table).where('invocation_id', 'in', ids).executeTakeFirst();
    removed += Number(result.numDeletedRows);
  }
  return removed;
}

/** The least UUID of version 7 of a time. */
function firstIdAt(time: Date): string {
  const hex = Math.max(0, time.getTime()).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`;
}
