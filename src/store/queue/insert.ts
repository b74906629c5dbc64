import { type InsertObject, sql } from 'kysely';
import type { Enqueued } from '../../core/enqueue.ts';
import type { NewInvocation } from '../../core/queue/queue.ts';
import type { StoreDialect } from '../dialect.ts';
import type { Database, Schema } from '../schema.ts';
import { withoutNul } from '../text.ts';

/** Rows a statement: keeps the number of its parameters below what every database allows. */
const ROWS_PER_INSERT = 100;

/** Puts invocations into the queue, within the caller's transaction. Of those with one dedup key the first one is. */
export async function insertQueued(
  tx: Database,
  dialect: StoreDialect,
  requests: readonly NewInvocation[],
): Promise<Enqueued[]> {
  const firstOf = await takeKeys(tx, dialect, requests);
  const fresh = requests.filter(({ id }) => !firstOf.has(id));
  for (let from = 0; from < fresh.length; from += ROWS_PER_INSERT) {
    const some = fresh.slice(from, from + ROWS_PER_INSERT);
    const rows = some.map((request) => queuedRow(request, dialect));
    await tx.insertInto('invocations').values(rows).execute();
    const payloads = some.map(({ id, payload }) => ({
      invocation_id: id,
      payload: JSON.stringify(payload ?? null),
    }));
    await tx.insertInto('invocation_payloads').values(payloads).execute();
  }
  return requests.map(({ id }) => ({ id: firstOf.get(id) ?? id, duplicate: firstOf.has(id) }));
}

/** Takes back what has not begun. */
export async function forgetQueued(db: Database, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    await db.deleteFrom('invocations').where('id', '=', id).where('lane', 'is not', null).execute();
    await db.deleteFrom('dedup_keys').where('invocation_id', '=', id).execute();
  }
}

/** The ids of duplicates, with the id of the first of their kind. */
async function takeKeys(
  tx: Database,
  dialect: StoreDialect,
  requests: readonly NewInvocation[],
): Promise<Map<string, string>> {
  const firstOf = new Map<string, string>();
  // In one order everywhere: two gateways that wait for each other's keys would be a deadlock.
  const keyed = requests
    .flatMap(({ id, dedup }) => (dedup === undefined ? [] : [{ id, dedup }]))
    .sort((a, b) => compare(a.dedup.scope, b.dedup.scope) || compare(a.dedup.key, b.dedup.key));
  for (const { id, dedup } of keyed) {
    const [scope, key] = [withoutNul(dedup.scope), withoutNul(dedup.key)];
    const now = dialect.now();
    const taken = await tx
      .insertInto('dedup_keys')
      .values((eb) => ({ scope, key, invocation_id: id, expires_at: eb(now, '+', dedup.ttlMs) }))
      .onConflict((conflict) =>
        conflict
          .columns(['scope', 'key'])
          .doUpdateSet((eb) => ({
            invocation_id: eb.ref('excluded.invocation_id'),
            expires_at: eb.ref('excluded.expires_at'),
          }))
          .where('dedup_keys.expires_at', '<=', now),
      )
      .returning('invocation_id')
      .executeTakeFirst();
    if (taken !== undefined) continue;
    const first = await tx
      .selectFrom('dedup_keys')
      .select('invocation_id')
      .where('scope', '=', scope)
      .where('key', '=', key)
      .executeTakeFirstOrThrow();
    firstOf.set(id, first.invocation_id);
  }
  return firstOf;
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

function queuedRow(request: NewInvocation, dialect: StoreDialect): InsertObject<Schema, 'invocations'> {
  const { id, event, caller, delayMs = 0 } = request;
  const now = dialect.now();
  return {
    id,
    event_id: event.id,
    event_name: event.name,
    event_version: event.current.version,
    owner_id: event.ownerId,
    caller_id: caller.userId && withoutNul(caller.userId),
    caller_tier: caller.tier && withoutNul(caller.tier),
    status: 'queued',
    start_kind: null,
    isolation: null,
    phases: '{}',
    status_code: null,
    exit: null,
    error: null,
    logs: '',
    logs_truncated: 0,
    created_at: Date.now(),
    ended_at: null,
    trigger: request.trigger,
    depth: request.depth ?? 0,
    lane: event.id,
    // At once is a time of no clock: no jump of one can delay it.
    due_at: delayMs > 0 ? sql<number>`${now} + ${sql.lit(Math.ceil(delayMs))}` : 0,
    queued_at: now,
    traceparent: request.traceparent ?? null,
    callback_url: request.callbackUrl ?? null,
    replay_of: request.replayOf ?? null,
  };
}
