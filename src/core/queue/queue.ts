import type { Enqueued, EnqueueRequest } from '../enqueue.ts';
import type { Invocation, InvocationStatus } from '../invocation.ts';
import type { Trigger } from '../trigger.ts';

/** Invocations that went so far through destinations are not passed on: events that tell each other would never end. */
export const MAX_DEPTH = 8;

/** An invocation for the queue. */
export interface NewInvocation extends EnqueueRequest {
  /** How many invocations there are before it in a chain of destinations. */
  depth?: number;
}

/** One claim of an invocation. Whoever holds an older one can write nothing any more. */
export interface Claim {
  id: string;
  /** Claims so far, this one included: the fence. */
  attempt: number;
  /** The run of a gateway that holds it. */
  lease: string;
}

export interface Claimed extends Claim {
  eventId: string;
  eventName: string;
  eventVersion: number;
  ownerId: string;
  callerId: string | null;
  callerTier: string | null;
  trigger: Trigger;
  payload: unknown;
  traceparent: string | null;
  callbackUrl: string | null;
  replayOf: string | null;
  /** Of the request; set when its caller wants a receipt. */
  inputSha256: string | null;
  depth: number;
  createdAt: Date;
  /** Attempts that the function itself failed. */
  failures: number;
  /** Claims that ended with the death of their gateway. */
  crashes: number;
  cancelRequested: boolean;
  /** Time since it was accepted or redriven, by the queue's clock, ms. */
  ageMs: number;
}

/** What a function answered when nobody waited for it. */
export interface StoredResult {
  statusCode: number;
  headers: Record<string, string>;
  cookies: string[];
  body: string;
  isBase64Encoded: boolean;
}

/** What an attempt leaves in the record. */
export type AttemptRecord = Pick<
  Invocation,
  | 'start'
  | 'isolation'
  | 'securityLevel'
  | 'phases'
  | 'statusCode'
  | 'exit'
  | 'error'
  | 'logs'
  | 'logsTruncated'
  | 'receipt'
>;

/** Somebody to tell by HTTP; `callback` is the one that a caller named, as OpenFaaS does. */
export interface NewDelivery {
  id: string;
  kind: 'callback' | 'success' | 'failure';
  url: string;
}

export interface Ending {
  status: Extract<InvocationStatus, 'succeeded' | 'dead' | 'cancelled'>;
  record: AttemptRecord;
  /** Whether the function is to blame for this attempt. */
  failed: boolean;
  result?: StoredResult;
  deliveries?: NewDelivery[];
  /** Invocations that follow from it; they are there if and only if the end is. */
  next?: NewInvocation[];
}

export interface Retry {
  record: AttemptRecord;
  delayMs: number;
  /** Whether the function is to blame. */
  failed: boolean;
}

/** What the queue holds. */
export interface QueueDepth {
  queued: number;
  running: number;
  /** Of those that may run now, ms; 0 when there is none. */
  oldestAgeMs: number;
}

export interface RedriveFilter {
  ownerId: string;
  eventName?: string;
  /** At least one of the two bounds it. */
  ids?: readonly string[];
  /** Created before; ids are in the order of time. */
  before?: Date;
  limit: number;
}

/**
 * The queue: invocations that wait or run, in the database. Every time in it is by one clock (the database's where gateways share
 * one), so that no gateway's own clock matters. Methods reject with `store_unavailable` while the database is away.
 */
export interface QueueStore {
  /** All of them or none; resolves when they are on the disk. */
  enqueue(requests: readonly NewInvocation[]): Promise<Enqueued[]>;
  /**
   * Takes up to `want` that are due: owners in turn, each owner's events in turn, the oldest first. Events that run as often as
   * they may are left out.
   */
  claim(lease: string, want: number, leaseMs: number): Promise<Claimed[]>;
  /** Renews all claims of a lease. Resolves to what it still holds. */
  renew(lease: string, leaseMs: number): Promise<{ id: string; attempt: number; cancelRequested: boolean }[]>;
  /** `false`, and nothing is written, when the claim was lost. */
  end(claim: Claim, ending: Ending): Promise<boolean>;
  /** `false`, and nothing is written, when the claim was lost. */
  retry(claim: Claim, retry: Retry): Promise<boolean>;
  /** Gives claims back as if they had never been. */
  release(claims: readonly Claim[]): Promise<void>;
  /**
   * Puts what dead gateways held back into the queue: leases that ran out, and those of earlier runs of this gateway. Resolves to
   * how many there were.
   */
  reclaim(lease: string): Promise<number>;
  /** Ms until something is due that is not due yet; `undefined` when nothing waits for its time. */
  nextDueMs(): Promise<number | undefined>;
  depth(): Promise<QueueDepth>;
  /** What it was before: what waits is cancelled at once, what runs is told to its gateway. `undefined` when there is none. */
  cancel(id: string): Promise<InvocationStatus | undefined>;
  /** Puts dead ones back, with all their attempts before them. Resolves to how many. */
  redrive(filter: RedriveFilter): Promise<number>;
  result(id: string): Promise<StoredResult | undefined>;
}

/** What changed in the queue, here or through another gateway. */
export type QueueChange =
  /** Something may be due. */
  | { kind: 'queued' }
  | { kind: 'ended'; id: string }
  | { kind: 'cancelled'; id: string }
  /** Schedules were changed: what is to be put into it. */
  | { kind: 'scheduled' }
  /** Changes may have been missed. */
  | { kind: 'unknown' };
