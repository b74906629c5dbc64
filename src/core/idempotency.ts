import type { ErrorCode } from '../errors.ts';
import type { StartKind } from './invocation.ts';
import type { SecurityLevel } from './isolation.ts';

/** What the first request of a key came to, as those get it that ask again. */
export type KeptAnswer = { invocationId: string } & (
  | {
      kind: 'response';
      statusCode: number;
      headers: Record<string, string>;
      cookies: string[];
      version: number;
      start: StartKind;
      isolation: string;
      securityLevel?: SecurityLevel;
      receipt?: string;
      body: Uint8Array;
    }
  /** The function failed. */
  | { kind: 'failure'; code: ErrorCode; message: string }
  /** It was stored, to run later. */
  | { kind: 'accepted' }
  /** It ran, and its answer is larger than what is kept. */
  | { kind: 'too_large' }
);

/** A request that wants to be the one that runs. */
export interface KeyClaim {
  /** Hex SHA-256 of what the key is unique in, and of the key. */
  key: string;
  /** Of the request, to tell it from others with the same key. */
  fingerprint: string;
  /** The invocation that runs if the claim is granted; what it does later to the key, it does only while it holds it. */
  invocationId: string;
  /** How long nobody else gets the key while no answer is kept: a gateway that died keeps none. */
  leaseMs: number;
  /** How long the key is remembered. */
  ttlMs: number;
}

export type ClaimResult =
  | { state: 'granted' }
  | { state: 'running'; invocationId: string }
  | { state: 'mismatch' }
  | { state: 'answered'; answer: KeptAnswer };

/** Who runs, of several requests with one key; and what they are all answered. Every method may reject when the database is away. */
export interface IdempotencyStore {
  /** Of claims at once, through however many gateways, one is granted. */
  claim(claim: KeyClaim): Promise<ClaimResult>;
  /** `false` when the key was given to another one in the meantime: its answer counts. */
  keep(claim: Pick<KeyClaim, 'key' | 'invocationId' | 'ttlMs'>, answer: KeptAnswer): Promise<boolean>;
  /** Gives the key back, as if it had never been used. */
  release(claim: Pick<KeyClaim, 'key' | 'invocationId'>): Promise<void>;
  /** Removes keys whose time is over, so many at most; resolves with how many. */
  pruneExpired(limit: number): Promise<number>;
}
