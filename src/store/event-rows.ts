import type {
  AuthMode,
  Event,
  EventAuth,
  EventVersion,
  EventVersionSummary,
  Runtime,
} from '../core/event.ts';
import type { MinIsolation } from '../core/isolation.ts';
import type { EventTable, EventVersionTable } from './schema.ts';
import type { SecretBox } from './secret-box.ts';

const WEBHOOK = 'webhook';
const NOTHING_SET = '{}';

export function eventRow(event: Event, box: SecretBox): EventTable {
  const { auth } = event;
  const isWord = typeof auth === 'string';
  return {
    id: event.id,
    name: event.name,
    owner_id: event.ownerId,
    description: event.description,
    auth: isWord ? auth : WEBHOOK,
    webhook: isWord ? null : box.seal(JSON.stringify(auth), webhookContext(event.id)),
    enabled: event.enabled ? 1 : 0,
    current_version: event.current.version,
    created_at: event.createdAt.getTime(),
    updated_at: event.updatedAt.getTime(),
    async: asyncRow(event, box),
    async_concurrency: event.async?.concurrency ?? null,
  };
}

export function toEvent(row: EventTable, current: EventVersion, box: SecretBox): Event {
  return {
    id: row.id,
    name: row.name,
    ownerId: row.owner_id,
    description: row.description,
    auth: toAuth(row, box),
    enabled: row.enabled === 1,
    createdAt: new Date(Number(row.created_at)),
    updatedAt: new Date(Number(row.updated_at)),
    ...(row.async !== NOTHING_SET && { async: JSON.parse(box.open(row.async, asyncContext(row.id))) }),
    current,
  };
}

/** Sealed as a whole: destinations have secrets. */
function asyncRow({ id, async = {} }: Event, box: SecretBox): string {
  return Object.keys(async).length === 0 ? NOTHING_SET : box.seal(JSON.stringify(async), asyncContext(id));
}

/** A word that stands for a webhook without its settings cannot be taken for another one: it opens nothing. */
function toAuth({ id, auth, webhook }: EventTable, box: SecretBox): EventAuth {
  if (auth !== WEBHOOK) return auth as AuthMode;
  if (webhook === null) throw new TypeError(`The event ${id} is a webhook without settings`);
  return JSON.parse(box.open(webhook, webhookContext(id)));
}

export function versionRow(eventId: string, version: EventVersion, box: SecretBox): EventVersionTable {
  return {
    event_id: eventId,
    version: version.version,
    runtime: version.runtime,
    code: version.code,
    code_sha256: version.codeSha256,
    timeout_ms: version.limits.timeoutMs,
    memory_mb: version.limits.memoryMb,
    cpus: version.limits.cpus,
    min_isolation: version.minIsolation ?? null,
    env: JSON.stringify(version.env),
    secrets: box.seal(JSON.stringify(version.secrets), secretsContext(eventId, version.version)),
    created_at: version.createdAt.getTime(),
  };
}

export function toVersion(row: EventVersionTable, box: SecretBox): EventVersion {
  return { ...toVersionSummary(row, box), code: row.code };
}

export function toVersionSummary(row: Omit<EventVersionTable, 'code'>, box: SecretBox): EventVersionSummary {
  return {
    version: row.version,
    runtime: row.runtime as Runtime,
    codeSha256: row.code_sha256,
    limits: { timeoutMs: row.timeout_ms, memoryMb: row.memory_mb, cpus: row.cpus },
    ...(row.min_isolation !== null && { minIsolation: row.min_isolation as MinIsolation }),
    env: JSON.parse(row.env),
    secrets: JSON.parse(box.open(row.secrets, secretsContext(row.event_id, row.version))),
    createdAt: new Date(Number(row.created_at)),
  };
}

const asyncContext = (eventId: string) => `async:${eventId}`;
const webhookContext = (eventId: string) => `webhook:${eventId}`;
const secretsContext = (eventId: string, version: number) => `event:${eventId}:${version}`;
