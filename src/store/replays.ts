import { sql } from 'kysely';
import { INVOCATION_STATUSES } from '../core/invocation.ts';
import type { ReplayStore } from '../core/replays/replay.ts';
import type { StoreDialect } from './dialect.ts';
import { toInvocation } from './invocations.ts';
import { insertQueued } from './queue/insert.ts';
import { findResult } from './queue/questions.ts';
import { resultRow } from './result-rows.ts';
import type { Database } from './schema.ts';
import { withoutNul } from './text.ts';

const FINAL: readonly string[] = INVOCATION_STATUSES.filter(
  (status) => status !== 'queued' && status !== 'running',
);

export function createReplayStore(db: Database, dialect: StoreDialect): ReplayStore {
  const payloadOf = async (on: Database, id: string) => {
    const row = await on
      .selectFrom('invocation_payloads')
      .select('payload')
      .where('invocation_id', '=', id)
      .executeTakeFirst();
    return row && { payload: JSON.parse(row.payload) as unknown };
  };

  return {
    async keep(calls) {
      if (calls.length === 0) return;
      const payloads = calls.map(({ id, payload }) => ({ invocation_id: id, payload: withoutNul(payload) }));
      const results = calls.flatMap(({ id, result }) =>
        result === undefined ? [] : [resultRow(id, result)],
      );
      await db.transaction().execute(async (tx) => {
        await tx
          .insertInto('invocation_payloads')
          .values(payloads)
          .onConflict((conflict) => conflict.column('invocation_id').doNothing())
          .execute();
        if (results.length === 0) return;
        await tx
          .insertInto('invocation_results')
          .values(results)
          .onConflict((conflict) => conflict.column('invocation_id').doNothing())
          .execute();
      });
    },

    payloadOf: (id) => payloadOf(db, id),

    async recent(event, limit) {
      const rows = await db
        .selectFrom('invocations')
        .innerJoin('invocation_payloads', 'invocation_payloads.invocation_id', 'invocations.id')
        .select('invocations.id')
        .where('owner_id', '=', event.ownerId)
        .where('event_name', '=', event.name)
        .where('event_id', '=', event.id)
        .where('trigger', '!=', 'replay')
        .where('status', 'in', [...FINAL])
        .orderBy('invocations.id', 'desc')
        .limit(limit)
        .execute();
      return rows.map(({ id }) => id);
    },

    async start(replay, requestsOf) {
      await db.transaction().execute(async (tx) => {
        await tx
          .insertInto('replays')
          .values({
            id: replay.id,
            owner_id: replay.ownerId,
            event_name: replay.eventName,
            version: replay.version,
            compare_to: replay.compareTo,
            ignored: JSON.stringify(replay.ignore),
            created_at: replay.createdAt.getTime(),
          })
          .execute();
        // One after the other: payloads may be megabytes.
        for (const [position, item] of replay.items.entries()) {
          const kept = await payloadOf(tx, item.sourceId);
          if (kept === undefined) continue;
          await insertQueued(tx, dialect, requestsOf(item, kept.payload));
          const { sourceId: source_id, candidateId: candidate_id, baselineId: baseline_id } = item;
          await tx
            .insertInto('replay_items')
            .values({
              replay_id: replay.id,
              position,
              source_id,
              candidate_id,
              baseline_id,
              comparison: null,
            })
            .execute();
        }
        await dialect.tellOfQueue(tx, 'queued');
      });
      await dialect.durably();
    },

    async find(ownerId, id) {
      const row = await db
        .selectFrom('replays')
        .selectAll()
        .where('id', '=', id)
        .where('owner_id', '=', ownerId)
        .executeTakeFirst();
      if (row === undefined) return undefined;
      const items = await db
        .selectFrom('replay_items')
        .selectAll()
        .where('replay_id', '=', id)
        .orderBy('position')
        .execute();
      return {
        id: row.id,
        ownerId: row.owner_id,
        eventName: row.event_name,
        version: row.version,
        compareTo: row.compare_to,
        ignore: JSON.parse(row.ignored),
        createdAt: new Date(Number(row.created_at)),
        items: items.map((item) => ({
          sourceId: item.source_id,
          candidateId: item.candidate_id,
          baselineId: item.baseline_id,
          comparison: item.comparison === null ? null : JSON.parse(item.comparison),
        })),
      };
    },

    async side(id) {
      const row = await db.selectFrom('invocations').selectAll().where('id', '=', id).executeTakeFirst();
      if (row === undefined) return 'gone';
      const invocation = toInvocation(row);
      if (!FINAL.includes(invocation.status)) return 'pending';
      return { invocation, result: await findResult(db, id) };
    },

    async saveComparison(replayId, candidateId, comparison) {
      await db
        .updateTable('replay_items')
        .set({ comparison: JSON.stringify(comparison) })
        .where('replay_id', '=', replayId)
        .where('candidate_id', '=', candidateId)
        .where(sql<boolean>`comparison is null`)
        .execute();
    },

    async prune(createdBefore, limit) {
      // Ids are in the order of time: who is not among the oldest is not old enough either. Items go with their replay.
      const oldest = await db
        .selectFrom('replays')
        .select(['id', 'created_at'])
        .orderBy('id')
        .limit(limit)
        .execute();
      const old = oldest
        .filter((row) => Number(row.created_at) < createdBefore.getTime())
        .map(({ id }) => id);
      if (old.length === 0) return 0;
      const { numDeletedRows } = await db.deleteFrom('replays').where('id', 'in', old).executeTakeFirst();
      return Number(numDeletedRows);
    },
  };
}
