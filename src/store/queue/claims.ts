import { sql } from 'kysely';
import { LRUCache } from 'lru-cache';
import type { Claimed } from '../../core/queue/queue.ts';
import { type Lane, shareOut, type Turn } from '../../core/queue/share-out.ts';
import type { Trigger } from '../../core/trigger.ts';
import type { StoreDialect } from '../dialect.ts';
import type { Database } from '../schema.ts';

/** Owners, and lanes of one owner, that a claim looks at in one go. */
const PAGE = 64;
/** Owners whose next lane is remembered. */
const MAX_OWNERS = 10_000;

/**
 * Takes what is due in turns. Where each turn stands is this gateway's own and forgotten with it: fairness needs no more.
 * Owners and lanes are found by jumping through the index from one to the next, so that a claim costs as much with a hundred
 * thousand rows behind each as with ten. By `limit 1` and not by `min`: Postgres, before it has counted the rows of a new backlog,
 * takes them for one and reads them all for their smallest.
 */
export class Claims {
  readonly #db: Database;
  readonly #dialect: StoreDialect;
  #lastOwner = '';
  readonly #lastLane = new LRUCache<string, string>({ max: MAX_OWNERS });

  constructor(db: Database, dialect: StoreDialect) {
    this.#db = db;
    this.#dialect = dialect;
  }

  claim(lease: string, want: number, leaseMs: number): Promise<Claimed[]> {
    if (want <= 0) return Promise.resolve([]);
    return this.#db.transaction().execute(async (tx) => {
      const turns = await this.#turns(tx, want);
      const shares = shareOut(want, turns);
      const claimed: Claimed[] = [];
      for (const { owner, lanes } of turns) {
        for (const { lane } of lanes) {
          const share = shares.get(lane) ?? 0;
          if (share === 0) continue;
          claimed.push(...(await this.#take(tx, owner, lane, share, lease, leaseMs)));
          this.#lastOwner = owner;
          this.#lastLane.set(owner, lane);
        }
      }
      return this.#withPayloads(tx, claimed);
    });
  }

  /** Owners of whom something can be claimed, as many as are wanted, beginning behind the last one served. */
  async #turns(tx: Database, want: number): Promise<Turn[]> {
    const turns: Turn[] = [];
    const start = this.#lastOwner;
    let after = start;
    let wrapped = false;
    while (turns.length < want) {
      const owners = await this.#owners(tx, after, wrapped ? start : undefined);
      for (const owner of owners) {
        const lanes = await this.#lanes(tx, owner, want);
        if (lanes.length > 0) turns.push({ owner, lanes });
        if (turns.length === want) break;
      }
      after = owners.at(-1) ?? '';
      if (owners.length === PAGE) continue;
      if (wrapped || start === '') break;
      wrapped = true;
      after = '';
    }
    return turns;
  }

  async #owners(tx: Database, after: string, upTo: string | undefined): Promise<string[]> {
    const end = upTo === undefined ? sql`` : sql`and owner_id <= ${upTo}`;
    const { rows } = await sql<{ owner: string }>`
      with recursive owners (owner, n) as (
        select (select owner_id from invocations where lane is not null and owner_id > ${after} ${end} order by owner_id limit 1), 1
        union all
        select (select owner_id from invocations where lane is not null and owner_id > owners.owner ${end} order by owner_id limit 1), n + 1
          from owners where owner is not null and n < ${sql.lit(PAGE)}
      )
      select owner from owners where owner is not null`.execute(tx);
    return rows.map(({ owner }) => owner);
  }

  /** The owner's lanes of which something can be claimed, beginning behind the last one served. */
  async #lanes(tx: Database, owner: string, want: number): Promise<Lane[]> {
    const start = this.#lastLane.get(owner) ?? '';
    const behind = await this.#lanesBetween(tx, owner, start, undefined, want);
    const room = behind.reduce((sum, lane) => sum + lane.room, 0);
    if (room >= want || start === '') return behind;
    return [...behind, ...(await this.#lanesBetween(tx, owner, '', start, want))];
  }

  async #lanesBetween(
    tx: Database,
    owner: string,
    after: string,
    upTo: string | undefined,
    want: number,
  ): Promise<Lane[]> {
    const end = upTo === undefined ? sql`` : sql`and lane <= ${upTo}`;
    const now = this.#dialect.now();
    const { rows } = await sql<{ lane: string; due: number; bound: number | null }>`
      with recursive lanes (lane, n) as (
        select (select lane from invocations where lane is not null and owner_id = ${owner} and lane > ${after} ${end} order by lane limit 1), 1
        union all
        select (select lane from invocations where lane is not null and owner_id = ${owner} and lane > lanes.lane ${end} order by lane limit 1), n + 1
          from lanes where lane is not null and n < ${sql.lit(PAGE)}
      )
      select lane,
        (select count(*) from (
          select 1 as one from invocations as waiting
            where waiting.lane is not null and waiting.owner_id = ${owner} and waiting.lane = lanes.lane and waiting.due_at <= ${now}
            limit ${sql.lit(want)}
        ) as capped) as due,
        (select async_concurrency from events where events.id = lanes.lane) as bound
      from lanes where lane is not null`.execute(tx);
    const lanes: Lane[] = [];
    for (const { lane, due, bound } of rows) {
      if (Number(due) === 0) continue;
      const room = bound === null ? Number(due) : Math.min(Number(due), await this.#freeOf(tx, lane, bound));
      if (room > 0) lanes.push({ lane, room });
    }
    return lanes;
  }

  /** How many more of an event may run. Counted under a lock: two gateways that count at once would both find the last place. */
  async #freeOf(tx: Database, eventId: string, bound: number): Promise<number> {
    if (this.#dialect.shared) {
      const { rows } =
        await sql`select 1 from events where id = ${eventId} for no key update skip locked`.execute(tx);
      if (rows.length === 0) return 0;
    }
    const { running } = await tx
      .selectFrom('invocations')
      .select((eb) => eb.fn.countAll().as('running'))
      .where('event_id', '=', eventId)
      .where('lease_owner', 'is not', null)
      .executeTakeFirstOrThrow();
    return bound - Number(running);
  }

  async #take(
    tx: Database,
    owner: string,
    lane: string,
    share: number,
    lease: string,
    leaseMs: number,
  ): Promise<Claimed[]> {
    const now = this.#dialect.now();
    const rows = await tx
      .with('picked', (db) =>
        db
          .selectFrom('invocations')
          .select('id')
          .where('lane', 'is not', null)
          .where('owner_id', '=', owner)
          .where('lane', '=', lane)
          .where('due_at', '<=', now)
          .orderBy('due_at')
          .orderBy('id')
          .limit(share)
          .$if(this.#dialect.shared, (query) => query.forUpdate().skipLocked()),
      )
      .updateTable('invocations')
      .set((eb) => ({
        status: 'running',
        attempt: eb('attempt', '+', 1),
        lane: null,
        due_at: null,
        lease_owner: lease,
        lease_until: eb(now, '+', leaseMs),
      }))
      .where('id', 'in', (eb) => eb.selectFrom('picked').select('id'))
      .returning([
        'id',
        'attempt',
        'event_id',
        'event_name',
        'event_version',
        'owner_id',
        'caller_id',
        'caller_tier',
        'trigger',
        'traceparent',
        'callback_url',
        'replay_of',
        'input_sha256',
        'depth',
        'created_at',
        'failures',
        'crashes',
        'cancel_requested',
      ])
      .returning(sql<number>`${now} - queued_at`.as('age_ms'))
      .execute();
    return rows
      .map((row) => ({
        id: row.id,
        attempt: row.attempt,
        lease,
        eventId: row.event_id,
        eventName: row.event_name,
        eventVersion: row.event_version,
        ownerId: row.owner_id,
        callerId: row.caller_id,
        callerTier: row.caller_tier,
        trigger: row.trigger as Trigger,
        payload: null,
        traceparent: row.traceparent,
        callbackUrl: row.callback_url,
        replayOf: row.replay_of,
        inputSha256: row.input_sha256,
        depth: row.depth,
        createdAt: new Date(Number(row.created_at)),
        failures: row.failures,
        crashes: row.crashes,
        cancelRequested: row.cancel_requested === 1,
        ageMs: Math.max(0, Number(row.age_ms)),
      }))
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  async #withPayloads(tx: Database, claimed: Claimed[]): Promise<Claimed[]> {
    if (claimed.length === 0) return [];
    const rows = await tx
      .selectFrom('invocation_payloads')
      .selectAll()
      .where(
        'invocation_id',
        'in',
        claimed.map(({ id }) => id),
      )
      .execute();
    const payloads = new Map(rows.map(({ invocation_id, payload }) => [invocation_id, payload]));
    return claimed.map((claim) => ({ ...claim, payload: JSON.parse(payloads.get(claim.id) ?? 'null') }));
  }
}
