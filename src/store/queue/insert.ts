import { type InsertObject, sql } from 'kysely';
import type { Enqueued } from '../../core/enqueue.ts';
import type { NewInvocation } from '../../core/queue/queue.ts';
import { chunksOf } from '../chunks.ts';
import type { StoreDialect } from '../dialect.ts';
import type { Database, Schema } from '../schema.ts';
import { withoutNul } from '../text.ts';

/** Puts invocations into the queue, within the caller's transaction. Of those with one dedup key the first one is. */
export async function insertQueued(
  tx: Database,
  dialect: StoreDialect,
  requests: readonly NewInvocation[],
): Promise<Enqueued[]> {
  const firstOf = await takeKeys(tx, dialect, requests);
  const fresh = requests.filter(({ id }) => !firstOf.has(id));
  for (const some of chunksOf(fresh)) {
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
  const asked = new Map<string, KeyRow>();
  for (const { id, dedup } of requests) {
    if (dedup === undefined) continue;
    const [scope, key] = [withoutNul(dedup.scope), withoutNul(dedup.key)];
    const name = nameOf({ scope, key });
    const first = asked.get(name);
    if (first === undefined) asked.set(name, { scope, key, invocation_id: id, ttlMs: dedup.ttlMs });
    else firstOf.set(id, first.invocation_id);
  }
  // In one order everywhere: two gateways that wait for each other's keys would be a deadlock.
  const keys = [...asked.values()].sort((a, b) => compare(a.scope, b.scope) || compare(a.key, b.key));
  const before = new Map<string, string>();
  for (const some of chunksOf(keys)) {
    for (const [id, first] of await insertKeys(tx, dialect, some)) before.set(id, first);
  }
  for (const [id, first] of firstOf) firstOf.set(id, before.get(first) ?? first);
  for (const [id, first] of before) firstOf.set(id, first);
  return firstOf;
}

/** Inserts keys that all differ. Resolves to those that are others' already: the id that asked, with the id that was first. */
async function insertKeys(
  tx: Database,
  dialect: StoreDialect,
  keys: readonly KeyRow[],
): Promise<Map<string, string>> {
  const now = dialect.now();
  const taken = await tx
    .insertInto('dedup_keys')
    .values((eb) => keys.map(({ ttlMs, ...row }) => ({ ...row, expires_at: eb(now, '+', ttlMs) })))
    .onConflict((conflict) =>
      conflict
        .columns(['scope', 'key'])
        .doUpdateSet((eb) => ({
          invocation_id: eb.ref('excluded.invocation_id'),
          expires_at: eb.ref('excluded.expires_at'),
        }))
        .where('dedup_keys.expires_at', '<=', now),
    )
    .returning(['scope', 'key'])
    .execute();
  const before = new Map<string, string>();
  if (taken.length === keys.length) return before;
  const ours = new Set(taken.map(nameOf));
  for (const row of keys) {
    if (ours.has(nameOf(row))) continue;
    const first = await tx
      .selectFrom('dedup_keys')
      .select('invocation_id')
      .where('scope', '=', row.scope)
      .where('key', '=', row.key)
      .executeTakeFirstOrThrow();
    before.set(row.invocation_id, first.invocation_id);
  }
  return before;
}

interface KeyRow {
  scope: string;
  key: string;
  invocation_id: string;
  ttlMs: number;
}

/** Neither of the two has a NUL in it. */
const nameOf = ({ scope, key }: Pick<KeyRow, 'scope' | 'key'>) => `${scope}\0${key}`;

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
    input_sha256: request.receipt?.inputSha256 ?? null,
  };
}
