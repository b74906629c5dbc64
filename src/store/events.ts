import { createHash } from 'node:crypto';
import { v7 as uuidv7 } from 'uuid';
import type { Event, EventDraft, EventVersion } from '../core/event.ts';
import type { EventStore } from '../core/event-store.ts';
import { GatewayError } from '../errors.ts';
import { checkCursor } from './cursor.ts';
import { eventRow, toEvent, toVersion, toVersionSummary, versionRow } from './event-rows.ts';
import { disableSchedulesOf } from './schedules.ts';
import type { Database, EventTable, EventVersionTable } from './schema.ts';
import type { SecretBox } from './secret-box.ts';

/** A version of an event whose row has these names already, and others. */
type JoinedRow = EventTable &
  Omit<EventVersionTable, 'event_id' | 'created_at'> & { version_created_at: number | string };

const SUMMARY_COLUMNS = [
  'event_id',
  'version',
  'runtime',
  'code_sha256',
  'timeout_ms',
  'memory_mb',
  'cpus',
  'min_isolation',
  'env',
  'secrets',
  'created_at',
] as const satisfies (keyof EventVersionTable)[];
const CURSOR = /^[1-9]\d{0,8}$/;

/** Events in SQL. Versions are only ever inserted; an event points to its current one. */
export function createEventStore(db: Database, box: SecretBox, now: () => Date): EventStore {
  const select = (on: Database = db) =>
    on
      .selectFrom('events')
      .innerJoin('event_versions', (join) =>
        join
          .onRef('event_versions.event_id', '=', 'events.id')
          .onRef('event_versions.version', '=', 'events.current_version'),
      )
      .selectAll('events')
      .select([
        'event_versions.version',
        'event_versions.runtime',
        'event_versions.code',
        'event_versions.code_sha256',
        'event_versions.timeout_ms',
        'event_versions.memory_mb',
        'event_versions.cpus',
        'event_versions.min_isolation',
        'event_versions.env',
        'event_versions.secrets',
        'event_versions.created_at as version_created_at',
      ]);

  const eventOf = (row: JoinedRow): Event =>
    toEvent(row, toVersion({ ...row, event_id: row.id, created_at: row.version_created_at }, box), box);

  const insertVersion = async (on: Database, eventId: string, version: EventVersion) => {
    const row = versionRow(eventId, version, box);
    await on.insertInto('event_versions').values(row).execute();
  };

  const findVersion = async (on: Database, eventId: string, version: number) => {
    const row = await on
      .selectFrom('event_versions')
      .selectAll()
      .where('event_id', '=', eventId)
      .where('version', '=', version)
      .executeTakeFirst();
    return row && toVersion(row, box);
  };

  /** Changes an event as it is now, with nobody else changing it meanwhile. `undefined` when the owner has no such event. */
  const change = <T>(
    ownerId: string,
    name: string,
    act: (tx: Database, before: Event) => Promise<T>,
  ): Promise<T | undefined> =>
    db.transaction().execute(async (tx) => {
      // Written before it is read: where writers are concurrent, this row lock makes them wait for one another.
      const locked = await tx
        .updateTable('events')
        .set((eb) => ({ updated_at: eb.ref('updated_at') }))
        .where('name', '=', name)
        .where('owner_id', '=', ownerId)
        .executeTakeFirst();
      if (locked.numUpdatedRows === 0n) return undefined;
      const row = await select(tx).where('events.name', '=', name).executeTakeFirstOrThrow();
      return act(tx, eventOf(row));
    });

  const update = async (tx: Database, event: Event): Promise<Event> => {
    await tx.updateTable('events').set(eventRow(event, box)).where('id', '=', event.id).execute();
    return event;
  };

  return {
    async create(ownerId, draft) {
      const at = now();
      const event: Event = {
        id: uuidv7(),
        ownerId,
        createdAt: at,
        ...settingsOf(draft, at, versionOf(draft, 1, at)),
      };
      await db.transaction().execute(async (tx) => {
        const inserted = await tx
          .insertInto('events')
          .values(eventRow(event, box))
          .onConflict((conflict) => conflict.column('name').doNothing())
          .executeTakeFirst();
        if (inserted.numInsertedOrUpdatedRows !== 1n) {
          throw new GatewayError('event_exists', `The name ${draft.name} is taken; choose another one`);
        }
        await insertVersion(tx, event.id, event.current);
      });
      return event;
    },

    async find(name) {
      const row = await select().where('events.name', '=', name).executeTakeFirst();
      return row && eventOf(row);
    },

    findVersion: (event, version) => findVersion(db, event.id, version),

    async list(ownerId) {
      const rows = await select().where('events.owner_id', '=', ownerId).orderBy('events.name').execute();
      return rows.map(eventOf);
    },

    async listVersions(ownerId, name, { limit, cursor }) {
      checkCursor(cursor, CURSOR);
      const event = await db
        .selectFrom('events')
        .select('id')
        .where('name', '=', name)
        .where('owner_id', '=', ownerId)
        .executeTakeFirst();
      if (event === undefined) return undefined;
      let query = db.selectFrom('event_versions').select(SUMMARY_COLUMNS).where('event_id', '=', event.id);
      if (cursor !== undefined) query = query.where('version', '<', Number(cursor));
      const rows = await query
        .orderBy('version', 'desc')
        .limit(limit + 1)
        .execute();
      const items = rows.slice(0, limit).map((row) => toVersionSummary(row, box));
      return { items, nextCursor: rows.length > limit ? String(items.at(-1)?.version) : null };
    },

    replace(ownerId, name, given) {
      return change(ownerId, name, async (tx, before) => {
        const draft = typeof given === 'function' ? given(before) : given;
        const at = later(now(), before.updatedAt);
        let { current } = before;
        if (!sameVersion(current, draft)) {
          const newest = await tx
            .selectFrom('event_versions')
            .select((eb) => eb.fn.max('version').as('version'))
            .where('event_id', '=', before.id)
            .executeTakeFirstOrThrow();
          current = versionOf(draft, Number(newest.version) + 1, at);
          await insertVersion(tx, before.id, current);
        }
        const { async: _async, ...kept } = before;
        return update(tx, { ...kept, ...settingsOf({ ...draft, name }, at, current) });
      });
    },

    rollback(ownerId, name, version, check) {
      return change(ownerId, name, async (tx, before) => {
        check?.(before);
        const current = await findVersion(tx, before.id, version);
        if (current === undefined) {
          throw new GatewayError('not_found', `The event ${name} has no version ${version}`);
        }
        return update(tx, { ...before, current, updatedAt: later(now(), before.updatedAt) });
      });
    },

    async remove(ownerId, name, check) {
      const removed = await change(ownerId, name, async (tx, before) => {
        check?.(before);
        await tx.deleteFrom('events').where('id', '=', before.id).execute();
        await disableSchedulesOf(tx, ownerId, name);
        return true;
      });
      return removed ?? false;
    },
  };
}

/** Each change has a time of its own, so that a time and a version together tell one state of an event from all others. */
function later(now: Date, before: Date): Date {
  return new Date(Math.max(now.getTime(), before.getTime() + 1));
}

function settingsOf(draft: EventDraft, updatedAt: Date, current: EventVersion) {
  const { name, description, auth, enabled, async = {} } = draft;
  const set = Object.keys(async).length === 0 ? {} : { async };
  return { name, description, auth, enabled, updatedAt, current, ...set };
}

function versionOf(draft: EventDraft, version: number, createdAt: Date): EventVersion {
  const { runtime, code, limits, minIsolation, env, secrets } = draft;
  const codeSha256 = createHash('sha256').update(code, 'utf8').digest('hex');
  const demand = minIsolation && { minIsolation };
  return { version, runtime, code, codeSha256, limits, ...demand, env, secrets, createdAt };
}

function sameVersion(version: EventVersion, draft: EventDraft): boolean {
  const { limits } = version;
  return (
    version.code === draft.code &&
    version.runtime === draft.runtime &&
    limits.timeoutMs === draft.limits.timeoutMs &&
    limits.memoryMb === draft.limits.memoryMb &&
    limits.cpus === draft.limits.cpus &&
    version.minIsolation === draft.minIsolation &&
    sameEntries(version.env, draft.env) &&
    sameEntries(version.secrets, draft.secrets)
  );
}

function sameEntries(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && a[name] === b[name])
  );
}
