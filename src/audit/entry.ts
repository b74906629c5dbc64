import { hash } from 'node:crypto';
import { canonicalJson } from './canonical-json.ts';

/**
 * Each is a chain of its own, in files of its own: what anybody can cause to be written, calls and refusals, must not push out
 * of its files who changed what; and tokens are minted by other processes than the gateway.
 */
export const CHAINS = ['changes', 'calls', 'tokens'] as const;
export type ChainName = (typeof CHAINS)[number];

/** `begun` stands before what is done only when that has been written down. */
export type Outcome = 'begun' | 'ok' | 'failed' | 'refused';

/** What somebody did or was refused. What a field has nothing for is absent. */
export interface AuditRecord {
  /** `event.deploy`, `event.invoke`, `token.mint`; docs/audit.md has all of them. */
  action: string;
  /** The `sub` of a token; `null` for who showed none that is valid, and for the gateway itself. */
  actor: string | null;
  /** What it was done to: an event's name, a user, or the path of a request that led to neither. */
  subject: string | null;
  outcome: Outcome;
  /** The stable code of a refusal or failure. */
  code?: string | undefined;
  /** The HTTP status that was answered. */
  status?: number | undefined;
  requestId?: string | undefined;
  invocationId?: string | undefined;
  /** The socket's other end, as the gateway saw it. */
  sourceIp?: string | undefined;
  detail?: Readonly<Record<string, string | number | boolean | undefined>>;
}

/** A place in a chain: what follows it has the hash as `prev`, and one more than the number as `seq`. */
export interface Link {
  seq: number;
  /** Hex SHA-256. */
  hash: string;
}

/** Before the first entry. */
export const START: Link = { seq: 0, hash: '0'.repeat(64) };

/** A record with its place: a line of a file. */
export interface AuditEntry extends AuditRecord, Link {
  chain: ChainName;
  /** ISO 8601, UTC. */
  time: string;
  /** The hash of the entry before. */
  prev: string;
}

export interface Timed {
  record: AuditRecord;
  time: Date;
}

/** The SHA-256 of an entry: of the canonical JSON of all of it but the hash itself. */
export function hashOf(entry: Omit<AuditEntry, 'hash'>): string {
  return hash('sha256', canonicalJson(entry), 'hex');
}

/** Lines for records, in their order, that follow a place in a chain. */
export function linesAfter(
  before: Link,
  chain: ChainName,
  records: readonly Timed[],
): { text: string; last: Link } {
  let last = before;
  let text = '';
  for (const { record, time } of records) {
    const entry = { ...record, chain, seq: last.seq + 1, time: time.toISOString(), prev: last.hash };
    last = { seq: entry.seq, hash: hashOf(entry) };
    text += `${canonicalJson({ ...entry, hash: last.hash })}\n`;
  }
  return { text, last };
}
