import type { AuthMode, Event, EventVersion, EventVersionSummary, Runtime } from '../core/event.ts';
import type { EventTable, EventVersionTable } from './schema.ts';
import type { SecretBox } from './secret-box.ts';

export function eventRow(event: Event): EventTable {
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

export function toEvent(row: EventTable, current: EventVersion): Event {
  return {
    id: row.id,
    name: row.name,
    ownerId: row.owner_id,
    description: row.description,
    auth: row.auth as AuthMode,
    enabled: row.enabled === 1,
    createdAt: new Date(Number(row.created_at)),
    updatedAt: new Date(Number(row.updated_at)),
    current,
  };
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
    env: JSON.parse(row.env),
    secrets: JSON.parse(box.open(row.secrets, secretsContext(row.event_id, row.version))),
    createdAt: new Date(Number(row.created_at)),
  };
}

const secretsContext = (eventId: string, version: number) => `event:${eventId}:${version}`;
