import type { Kysely } from 'kysely';

/**
 * Only what SQLite and Postgres have in common: times are ms since the epoch in a bigint (which a driver may return as
 * text), flags are 0 or 1, JSON is text.
 */
type Milliseconds = number | string;
type Flag = 0 | 1;

export interface EventTable {
  id: string;
  name: string;
  owner_id: string;
  description: string;
  auth: string;
  /** How senders of webhooks sign, with their secrets: sealed by the secret box; `null` unless `auth` is `webhook`. */
  webhook: string | null;
  enabled: Flag;
  current_version: number;
  created_at: Milliseconds;
  updated_at: Milliseconds;
}

export interface EventVersionTable {
  event_id: string;
  version: number;
  runtime: string;
  code: string;
  code_sha256: string;
  timeout_ms: number;
  memory_mb: number;
  cpus: number;
  env: string;
  /** Sealed by the secret box; never in the clear. */
  secrets: string;
  created_at: Milliseconds;
}

export interface EventAliasTable {
  event_id: string;
  name: string;
  version: number;
  split_version: number | null;
  split_weight: number | null;
  created_at: Milliseconds;
  updated_at: Milliseconds;
}

export interface InvocationTable {
  id: string;
  event_id: string;
  event_name: string;
  event_version: number;
  owner_id: string;
  caller_id: string | null;
  status: string;
  start_kind: string | null;
  isolation: string | null;
  phases: string;
  status_code: number | null;
  exit: string | null;
  error: string | null;
  logs: string;
  logs_truncated: Flag;
  created_at: Milliseconds;
  ended_at: Milliseconds | null;
  receipt: string | null;
}

export interface VariableTable {
  owner_id: string;
  name: string;
  /** Sealed by the secret box; never in the clear. */
  value: string;
  /** Of the value in the clear. */
  bytes: number;
  revision: string;
  updated_at: Milliseconds;
}

/** What an owner's variables come to: the row whose lock makes those who change them wait for one another. */
export interface VariableUsageTable {
  owner_id: string;
  count: number;
  /** Names and values together. */
  bytes: number;
}

export interface MetaTable {
  key: string;
  value: string;
}

export interface Schema {
  events: EventTable;
  event_versions: EventVersionTable;
  event_aliases: EventAliasTable;
  invocations: InvocationTable;
  variables: VariableTable;
  variable_usage: VariableUsageTable;
  meta: MetaTable;
}

export type Database = Kysely<Schema>;
