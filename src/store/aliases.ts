import type { Alias, AliasStore, AliasTarget } from '../core/alias.ts';
import { type Fault, GatewayError } from '../errors.ts';
import type { Database, EventAliasTable } from './schema.ts';

/** Aliases in SQL. They belong to their event and go with it. */
export function createAliasStore(db: Database, now: () => Date): AliasStore {
  const find = async (on: Database, eventId: string, name: string): Promise<Alias | undefined> => {
    const row = await on
      .selectFrom('event_aliases')
      .selectAll()
      .where('event_id', '=', eventId)
      .where('name', '=', name)
      .executeTakeFirst();
    return row && toAlias(row);
  };

  /**
   * Changes aliases of an event with nobody else changing it meanwhile. That its row is written, too, is what tells
   * other gateways to forget what they know of the event. `undefined` when the owner has no such event.
   */
  const change = <T>(
    ownerId: string,
    name: string,
    act: (tx: Database, eventId: string) => Promise<T>,
  ): Promise<T | undefined> =>
    db.transaction().execute(async (tx) => {
      const event = await tx
        .updateTable('events')
        .set((eb) => ({ updated_at: eb.ref('updated_at') }))
        .where('name', '=', name)
        .where('owner_id', '=', ownerId)
        .returning('id')
        .executeTakeFirst();
      return event && act(tx, event.id);
    });

  return {
    find: (event, name) => find(db, event.id, name),

    async list(event) {
      const rows = await db
        .selectFrom('event_aliases')
        .selectAll()
        .where('event_id', '=', event.id)
        .orderBy('name')
        .execute();
      return rows.map(toAlias);
    },

    put(ownerId, eventName, name, target, check) {
      return change(ownerId, eventName, async (tx, eventId) => {
        const before = await find(tx, eventId, name);
        check?.(before);
        await demandVersions(tx, eventId, eventName, target);
        const { version, split } = target;
        const at = now();
        const createdAt = before?.createdAt ?? at;
        // Each change has a time of its own, so that version and time together tell one state from all others.
        const updatedAt = new Date(Math.max(at.getTime(), (before?.updatedAt.getTime() ?? 0) + 1));
        const alias: Alias = { name, version, split, createdAt, updatedAt };
        const row = toRow(eventId, alias);
        await tx
          .insertInto('event_aliases')
          .values(row)
          .onConflict((conflict) => conflict.columns(['event_id', 'name']).doUpdateSet(row))
          .execute();
        return { alias, created: before === undefined };
      });
    },

    async remove(ownerId, eventName, name, check) {
      const removed = await change(ownerId, eventName, async (tx, eventId) => {
        const before = await find(tx, eventId, name);
        if (before === undefined) return false;
        check?.(before);
        await tx
          .deleteFrom('event_aliases')
          .where('event_id', '=', eventId)
          .where('name', '=', name)
          .execute();
        return true;
      });
      return removed ?? false;
    },
  };
}

/** Versions are never removed: what is there now will be there at each call. */
async function demandVersions(
  tx: Database,
  eventId: string,
  eventName: string,
  { version, split }: AliasTarget,
): Promise<void> {
  const wanted = [
    { path: 'version', version },
    ...(split === null ? [] : [{ path: `weights.${split.version}`, version: split.version }]),
  ];
  const rows = await tx
    .selectFrom('event_versions')
    .select('version')
    .where('event_id', '=', eventId)
    .where(
      'version',
      'in',
      wanted.map((each) => each.version),
    )
    .execute();
  const there = new Set(rows.map((row) => row.version));
  const faults = wanted
    .filter((each) => !there.has(each.version))
    .map(({ path, version }): Fault => {
      const message = `${eventName} has no version ${version}; GET /v1/events/${eventName}/versions lists those it has`;
      return { path, message };
    });
  if (faults.length === 0) return;
  throw new GatewayError('validation_failed', 'An alias stands for versions that there are', { faults });
}

function toRow(eventId: string, alias: Alias): EventAliasTable {
  return {
    event_id: eventId,
    name: alias.name,
    version: alias.version,
    split_version: alias.split?.version ?? null,
    split_weight: alias.split?.weight ?? null,
    created_at: alias.createdAt.getTime(),
    updated_at: alias.updatedAt.getTime(),
  };
}

function toAlias(row: EventAliasTable): Alias {
  const { split_version: version, split_weight: weight } = row;
  return {
    name: row.name,
    version: row.version,
    split: version === null || weight === null ? null : { version, weight },
    createdAt: new Date(Number(row.created_at)),
    updatedAt: new Date(Number(row.updated_at)),
  };
}
