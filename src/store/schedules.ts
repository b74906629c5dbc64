import { v7 as uuidv7 } from 'uuid';
import type { Schedule, ScheduleStore } from '../core/schedules/schedule.ts';
import { GatewayError } from '../errors.ts';
import type { StoreDialect } from './dialect.ts';
import { insertQueued } from './queue/insert.ts';
import { settingsRow, stateRow, toSchedule } from './schedule-rows.ts';
import type { Database } from './schema.ts';

export interface ScheduleStoreOptions {
  dialect: StoreDialect;
  now: () => Date;
  /** Schedules were changed through this gateway; may not throw. */
  onChanged: () => void;
}

const MAX_PER_OWNER = 1_000;
const OWNERS = 1;

/** Schedules in SQL. A row is written only as the one that was read: its revision tells. */
export function createScheduleStore(db: Database, options: ScheduleStoreOptions): ScheduleStore {
  const { dialect, now, onChanged } = options;

  const select = (on: Database, ownerId: string, name: string) =>
    on.selectFrom('schedules').selectAll().where('owner_id', '=', ownerId).where('name', '=', name);

  /** Others are told in the transaction, this gateway behind it. */
  const change = async <T>(write: (tx: Database) => Promise<T>): Promise<T> => {
    const result = await db.transaction().execute(async (tx) => {
      const written = await write(tx);
      await dialect.tellOfQueue(tx, 'scheduled');
      return written;
    });
    onChanged();
    return result;
  };

  return {
    create(owner, settings, first) {
      return change(async (tx) => {
        // Others who create for the same owner would count the same schedules as this one, and all find room.
        await dialect.lock(tx, OWNERS, owner.id);
        const { count } = await tx
          .selectFrom('schedules')
          .select((eb) => eb.fn.countAll().as('count'))
          .where('owner_id', '=', owner.id)
          .executeTakeFirstOrThrow();
        if (Number(count) >= MAX_PER_OWNER) {
          const message = `You have ${MAX_PER_OWNER} schedules, and no more can be had; remove some`;
          throw new GatewayError('schedule_quota_exceeded', message);
        }
        const at = now().getTime();
        const row = {
          id: uuidv7(),
          owner_id: owner.id,
          tier: owner.tier,
          ...settingsRow(settings),
          ...stateRow(first),
          revision: 1,
          created_at: at,
          updated_at: at,
        } as const;
        const inserted = await tx
          .insertInto('schedules')
          .values(row)
          .onConflict((conflict) => conflict.columns(['owner_id', 'name']).doNothing())
          .executeTakeFirst();
        if (inserted.numInsertedOrUpdatedRows !== 1n) {
          const message = `You have a schedule named ${settings.name}; replace it with PUT, or choose another name`;
          throw new GatewayError('schedule_exists', message);
        }
        return toSchedule(row);
      });
    },

    async find(ownerId, name) {
      const row = await select(db, ownerId, name).executeTakeFirst();
      return row && toSchedule(row);
    },

    async list(ownerId) {
      const rows = await db
        .selectFrom('schedules')
        .selectAll()
        .where('owner_id', '=', ownerId)
        .orderBy('name')
        .execute();
      return rows.map(toSchedule);
    },

    replace(owner, settings, stateOf) {
      return change(async (tx): Promise<Schedule | undefined> => {
        // Written before it is read: where writers are concurrent, this row lock makes them wait for one another.
        const locked = await tx
          .updateTable('schedules')
          .set((eb) => ({ revision: eb('revision', '+', 1), tier: owner.tier, updated_at: now().getTime() }))
          .where('owner_id', '=', owner.id)
          .where('name', '=', settings.name)
          .executeTakeFirst();
        if (locked.numUpdatedRows === 0n) return undefined;
        const before = toSchedule(await select(tx, owner.id, settings.name).executeTakeFirstOrThrow());
        const row = { ...settingsRow(settings), ...stateRow(stateOf(before)) } as const;
        await tx.updateTable('schedules').set(row).where('id', '=', before.id).execute();
        return toSchedule(await select(tx, owner.id, settings.name).executeTakeFirstOrThrow());
      });
    },

    remove(ownerId, name) {
      return change(async (tx) => {
        const removed = await tx
          .deleteFrom('schedules')
          .where('owner_id', '=', ownerId)
          .where('name', '=', name)
          .executeTakeFirst();
        return removed.numDeletedRows === 1n;
      });
    },

    async due(by, limit, ended) {
      const rows = await db
        .selectFrom('schedules')
        .selectAll()
        .where((eb) =>
          eb.or([
            eb('fire_at', '<=', by.getTime()),
            ...(ended.length === 0
              ? []
              : [eb.and([eb('held', '=', 1), eb('last_invocation_id', 'in', [...ended])])]),
          ]),
        )
        .orderBy('fire_at')
        .limit(limit)
        .execute();
      return rows.map(toSchedule);
    },

    async nextFireAt() {
      const row = await db
        .selectFrom('schedules')
        .select('fire_at')
        .where('fire_at', 'is not', null)
        .orderBy('fire_at')
        .limit(1)
        .executeTakeFirst();
      return row && new Date(Number(row.fire_at));
    },

    advance(before, state, runs) {
      return db.transaction().execute(async (tx) => {
        const written = await tx
          .updateTable('schedules')
          .set((eb) => ({ ...stateRow(state), revision: eb('revision', '+', 1) }))
          .where('id', '=', before.id)
          .where('revision', '=', before.revision)
          .executeTakeFirst();
        if (written.numUpdatedRows === 0n) return false;
        if (runs.length > 0) {
          await insertQueued(tx, dialect, runs);
          await dialect.tellOfQueue(tx, 'queued');
        }
        return true;
      });
    },
  };
}

/** With their event gone, within its transaction. */
export async function disableSchedulesOf(tx: Database, ownerId: string, eventName: string): Promise<void> {
  await tx
    .updateTable('schedules')
    .set((eb) => ({
      enabled: 0,
      disabled_reason: 'event_removed',
      next_at: null,
      fire_at: null,
      held: 0,
      revision: eb('revision', '+', 1),
    }))
    .where('owner_id', '=', ownerId)
    .where('event_name', '=', eventName)
    .where('enabled', '=', 1)
    .execute();
}
