import { createHash } from 'node:crypto';
import { v7 as uuidv7 } from 'uuid';
import type { AuthMode, Event, EventDraft, EventVersion, Runtime } from '../core/event.ts';
import type { EventStore } from '../core/store.ts';
import { GatewayError } from '../errors.ts';
import type { Database, EventTable, EventVersionTable } from './schema.ts';
import type { SecretBox } from './secret-box.ts';

type Row = EventTable &
  Omit<EventVersionTable, 'event_id' | 'created_at'> & { version_created_at: number | string };

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
        'event_versions.env',
        'event_versions.secrets',
        'event_versions.created_at as version_created_at',
      ]);

  const insertVersion = async (on: Database, eventId: string, version: EventVersion) => {
    const row = versionRow(eventId, version, box);
    await on.insertInto('event_versions').values(row).execute();
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
          .values(eventRow(event))
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
      return row && toEvent(row, box);
    },

    async list(ownerId) {
      const rows = await select().where('events.owner_id', '=', ownerId).orderBy('events.name').execute();
      return rows.map((row) => toEvent(row, box));
    },

    async replace(ownerId, name, draft) {
      const at = now();
      return db.transaction().execute(async (tx) => {
        // Written before it is read: where writers are concurrent, this row lock makes them wait for one another.
        const locked = await tx
          .updateTable('events')
          .set({ updated_at: at.getTime() })
          .where('name', '=', name)
          .where('owner_id', '=', ownerId)
          .executeTakeFirst();
        if (locked.numUpdatedRows === 0n) return undefined;
        const before = toEvent(
          await select(tx).where('events.name', '=', name).executeTakeFirstOrThrow(),
          box,
        );
        const changed = !sameVersion(before.current, draft);
        const current = changed ? versionOf(draft, before.current.version + 1, at) : before.current;
        const event: Event = { ...before, ...settingsOf({ ...draft, name }, at, current) };
        if (changed) await insertVersion(tx, event.id, current);
        await tx.updateTable('events').set(eventRow(event)).where('id', '=', event.id).execute();
        return event;
      });
    },

    async remove(ownerId, name) {
      const removed = await db
        .deleteFrom('events')
        .where('name', '=', name)
        .where('owner_id', '=', ownerId)
        .executeTakeFirst();
      return removed.numDeletedRows > 0n;
    },
  };
}

function settingsOf(draft: EventDraft, updatedAt: Date, current: EventVersion) {
  const { name, description, auth, enabled } = draft;
  return { name, description, auth, enabled, updatedAt, current };
}

function versionOf(draft: EventDraft, version: number, createdAt: Date): EventVersion {
  const { runtime, code, limits, env, secrets } = draft;
  const codeSha256 = createHash('sha256').update(code, 'utf8').digest('hex');
  return { version, runtime, code, codeSha256, limits, env, secrets, createdAt };
}

function sameVersion(version: EventVersion, draft: EventDraft): boolean {
  const { limits } = version;
  return (
    version.code === draft.code &&
    version.runtime === draft.runtime &&
    limits.timeoutMs === draft.limits.timeoutMs &&
    limits.memoryMb === draft.limits.memoryMb &&
    limits.cpus === draft.limits.cpus &&
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

function eventRow(event: Event): EventTable {
  return {
    id: event.id,
    name: event.name,
    owner_id: event.ownerId,
    description: event.description,
    auth: event.auth,
    enabled: event.enabled ? 1 : 0,
    current_version: event.current.version,
    created_at: event.createdAt.getTime(),
    updated_at: event.updatedAt.getTime(),
  };
}

function versionRow(eventId: string, version: EventVersion, box: SecretBox): EventVersionTable {
  return {
    event_id: eventId,
    version: version.version,
    runtime: version.runtime,
    code: version.code,
    code_sha256: version.codeSha256,
    timeout_ms: version.limits.timeoutMs,
    memory_mb: version.limits.memoryMb,
    cpus: version.limits.cpus,
    env: JSON.stringify(version.env),
    secrets: box.seal(JSON.stringify(version.secrets), secretsContext(eventId, version.version)),
    created_at: version.createdAt.getTime(),
  };
}

function toEvent(row: Row, box: SecretBox): Event {
  return {
    id: row.id,
    name: row.name,
    ownerId: row.owner_id,
    description: row.description,
    auth: row.auth as AuthMode,
    enabled: row.enabled === 1,
    createdAt: new Date(Number(row.created_at)),
    updatedAt: new Date(Number(row.updated_at)),
    current: {
      version: row.version,
      runtime: row.runtime as Runtime,
      code: row.code,
      codeSha256: row.code_sha256,
      limits: { timeoutMs: row.timeout_ms, memoryMb: row.memory_mb, cpus: row.cpus },
      env: JSON.parse(row.env),
      secrets: JSON.parse(box.open(row.secrets, secretsContext(row.id, row.version))),
      createdAt: new Date(Number(row.version_created_at)),
    },
  };
}

const secretsContext = (eventId: string, version: number) => `event:${eventId}:${version}`;
