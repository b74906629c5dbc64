import { type Insertable, type Selectable, type SelectQueryBuilder, sql } from 'kysely';
import type { Invocation, InvocationStatus, StartKind } from '../core/invocation.ts';
import type { InvocationStore } from '../core/invocation-store.ts';
import type { SecurityLevel } from '../core/isolation.ts';
import type { Page } from '../core/page.ts';
import type { Trigger } from '../core/trigger.ts';
import { chunksOf } from './chunks.ts';
import { checkCursor } from './cursor.ts';
import type { Database, InvocationTable, Schema } from './schema.ts';
import { withoutNul } from './text.ts';

const CURSOR = /^[0-9a-f-]{36}$/;

export function createInvocationStore(db: Database): InvocationStore {
  return {
    async save(invocations) {
      // An insert may name a row only once: of several records of one id the last counts.
      const rows = [...new Map(invocations.map((invocation) => [invocation.id, toRow(invocation)])).values()];
      if (rows.length === 0) return;
      await db.transaction().execute(async (tx) => {
        for (const some of chunksOf(rows)) {
          await tx
            .insertInto('invocations')
            .values(some)
            .onConflict((conflict) =>
              conflict.column('id').doUpdateSet((eb) => ({
                status: eb.ref('excluded.status'),
                start_kind: eb.ref('excluded.start_kind'),
                isolation: eb.ref('excluded.isolation'),
                security_level: eb.ref('excluded.security_level'),
                phases: eb.ref('excluded.phases'),
                status_code: eb.ref('excluded.status_code'),
                exit: eb.ref('excluded.exit'),
                error: eb.ref('excluded.error'),
                logs: eb.ref('excluded.logs'),
                logs_truncated: eb.ref('excluded.logs_truncated'),
                ended_at: eb.ref('excluded.ended_at'),
                receipt: eb.ref('excluded.receipt'),
              })),
            )
            .execute();
        }
      });
    },

    async find(id) {
      const row = await db.selectFrom('invocations').selectAll().where('id', '=', id).executeTakeFirst();
      return row && toInvocation(row);
    },

    listByEvent: (ownerId, eventName, page) =>
      pageOf(
        db
          .selectFrom('invocations')
          .selectAll()
          .where('owner_id', '=', ownerId)
          .where('event_name', '=', eventName),
        page,
      ),

    listByStatus(ownerId, { status, eventName }, page) {
      let query = db.selectFrom('invocations').selectAll().where('owner_id', '=', ownerId);
      if (eventName !== undefined) query = query.where('event_name', '=', eventName);
      // Each by the condition of the index that is made for it.
      if (status === 'queued') query = query.where('lane', 'is not', null);
      else if (status === 'running') query = query.where('lease_owner', 'is not', null);
      else query = query.where(sql<boolean>`status = ${sql.lit(status)}`);
      return pageOf(query, page);
    },
  };
}

/** The newest first. */
async function pageOf(
  query: SelectQueryBuilder<Schema, 'invocations', Selectable<InvocationTable>>,
  { limit, cursor }: { limit: number; cursor?: string },
): Promise<Page<Invocation>> {
  checkCursor(cursor, CURSOR);
  const rows = await (cursor === undefined ? query : query.where('id', '<', cursor))
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute();
  const items = rows.slice(0, limit).map(toInvocation);
  return { items, nextCursor: rows.length > limit ? (items.at(-1)?.id ?? null) : null };
}

function toRow(invocation: Invocation): Insertable<InvocationTable> {
  return {
    id: invocation.id,
    event_id: invocation.eventId,
    event_name: invocation.eventName,
    event_version: invocation.eventVersion,
    owner_id: invocation.ownerId,
    caller_id: invocation.callerId && withoutNul(invocation.callerId),
    status: invocation.status,
    start_kind: invocation.start,
    isolation: invocation.isolation,
    security_level: invocation.securityLevel ?? null,
    phases: JSON.stringify(invocation.phases),
    status_code: invocation.statusCode,
    exit: invocation.exit && JSON.stringify(invocation.exit),
    error: invocation.error && JSON.stringify(invocation.error),
    logs: withoutNul(invocation.logs),
    logs_truncated: invocation.logsTruncated ? 1 : 0,
    created_at: invocation.createdAt.getTime(),
    ended_at: invocation.endedAt?.getTime() ?? null,
    receipt: invocation.receipt ?? null,
    trigger: invocation.trigger,
    attempt: invocation.attempt,
    failures: invocation.failures,
    replay_of: invocation.replayOf,
  };
}

export function toInvocation(row: Selectable<InvocationTable>): Invocation {
  return {
    id: row.id,
    eventId: row.event_id,
    eventName: row.event_name,
    eventVersion: row.event_version,
    ownerId: row.owner_id,
    callerId: row.caller_id,
    status: row.status as InvocationStatus,
    start: row.start_kind as StartKind | null,
    isolation: row.isolation,
    ...(row.security_level !== null && { securityLevel: row.security_level as SecurityLevel }),
    phases: JSON.parse(row.phases),
    statusCode: row.status_code,
    exit: row.exit === null ? null : JSON.parse(row.exit),
    error: row.error === null ? null : JSON.parse(row.error),
    logs: row.logs,
    logsTruncated: row.logs_truncated === 1,
    createdAt: new Date(Number(row.created_at)),
    endedAt: row.ended_at === null ? null : new Date(Number(row.ended_at)),
    ...(row.receipt !== null && { receipt: row.receipt }),
    trigger: row.trigger as Trigger,
    attempt: row.attempt,
    failures: row.failures,
    replayOf: row.replay_of,
  };
}
