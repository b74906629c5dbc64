import type { Generated, Kysely } from 'kysely';

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
  /** JSON of the settings for what is not waited for; secrets in it are sealed. */
  async: string;
  /** A copy of one of those settings, which claims read. */
  async_concurrency: number | null;
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
  min_isolation: string | null;
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
  security_level: string | null;
  phases: string;
  status_code: number | null;
  exit: string | null;
  error: string | null;
  logs: string;
  logs_truncated: Flag;
  created_at: Milliseconds;
  ended_at: Milliseconds | null;
  receipt: string | null;
  trigger: string;
  /** Claims so far: who holds an older number has lost the invocation. */
  attempt: Generated<number>;
  /** Attempts that the function itself failed. */
  failures: Generated<number>;
  /** Claims that ended with the death of their gateway. */
  crashes: Generated<number>;
  /** How many invocations there are before it in a chain of destinations. */
  depth: Generated<number>;
  cancel_requested: Generated<Flag>;
  /** The event's id while it waits, else null: what waits for one event is one lane of its owner. */
  lane: Generated<string | null>;
  /** By the queue's clock, like the three that follow; 0 is at once, whatever the clock says. Set while it waits. */
  due_at: Generated<Milliseconds | null>;
  queued_at: Generated<Milliseconds | null>;
  /** The run of a gateway that has it; set while it is running and durable. */
  lease_owner: Generated<string | null>;
  lease_until: Generated<Milliseconds | null>;
  traceparent: Generated<string | null>;
  callback_url: Generated<string | null>;
  replay_of: string | null;
  caller_tier: Generated<string | null>;
  /** Of its request, where it is durable and its caller wants a receipt. */
  input_sha256: Generated<string | null>;
}

export interface InvocationPayloadTable {
  invocation_id: string;
  payload: string;
}

export interface InvocationResultTable {
  invocation_id: string;
  status_code: number;
  headers: string;
  cookies: string;
  body: string;
  is_base64: Flag;
}

export interface DedupKeyTable {
  scope: string;
  key: string;
  invocation_id: string;
  /** By the queue's clock. */
  expires_at: Milliseconds;
}

/** What is to be told to a URL. */
export interface DeliveryTable {
  id: string;
  invocation_id: string;
  kind: string;
  url: string;
  status: string;
  attempt: number;
  /** When it is tried next, by the queue's clock; moved on before a try, so that a gateway that dies only delays it. Null at the end. */
  due_at: Milliseconds | null;
  queued_at: Milliseconds;
  error: string | null;
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

export interface IdempotencyKeyTable {
  /** Hex SHA-256 of scope and key. */
  key: string;
  fingerprint: string;
  /** Who has the key. */
  invocation_id: string;
  lease_until: Milliseconds;
  expires_at: Milliseconds;
  /** JSON, without the body; `null` while it runs. */
  answer: string | null;
  /** Base64. */
  body: string | null;
}

export interface ScheduleTable {
  id: string;
  owner_id: string;
  tier: string | null;
  name: string;
  event_name: string;
  target: string;
  cron: string | null;
  at: Milliseconds | null;
  time_zone: string;
  payload: string;
  enabled: Flag;
  disabled_reason: string | null;
  catch_up: string;
  overlap: string;
  max_runs: number | null;
  jitter_ms: number;
  next_at: Milliseconds | null;
  fire_at: Milliseconds | null;
  held: Flag;
  last_due_at: Milliseconds | null;
  last_run_at: Milliseconds | null;
  last_invocation_id: string | null;
  runs: number;
  skipped: number;
  last_skipped_at: Milliseconds | null;
  last_skip_reason: string | null;
  revision: number;
  created_at: Milliseconds;
  updated_at: Milliseconds;
}

export interface ReplayTable {
  id: string;
  owner_id: string;
  event_name: string;
  version: number;
  compare_to: number | null;
  /** JSON. */
  ignored: string;
  created_at: Milliseconds;
}

export interface ReplayItemTable {
  replay_id: string;
  position: number;
  source_id: string;
  candidate_id: string;
  baseline_id: string | null;
  /** JSON; `null` until both have ended. */
  comparison: string | null;
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
  invocation_payloads: InvocationPayloadTable;
  invocation_results: InvocationResultTable;
  dedup_keys: DedupKeyTable;
  deliveries: DeliveryTable;
  idempotency_keys: IdempotencyKeyTable;
  schedules: ScheduleTable;
  replays: ReplayTable;
  replay_items: ReplayItemTable;
  meta: MetaTable;
}

export type Database = Kysely<Schema>;
