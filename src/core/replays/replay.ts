import type { EnqueueRequest } from '../enqueue.ts';
import type { Event } from '../event.ts';
import type { StoredResult } from '../queue/queue.ts';
import type { Comparison, Side } from './compare.ts';

/** What a call was given and what it answered, kept behind the answer so that it can be run again. */
export interface KeptCall {
  id: string;
  /** JSON. */
  payload: string;
  /** `undefined` when it failed, or what it answered is too large or was streamed. */
  result: StoredResult | undefined;
}

/** One invocation that is run again. */
export interface ReplayItem {
  sourceId: string;
  /** On the version that is tried. */
  candidateId: string;
  /** On the version that it is compared to; `null` when that is what was answered then. */
  baselineId: string | null;
  /** `null` until both have ended. */
  comparison: Comparison | null;
}

/** The last invocations of an event, run again on another version and compared. */
export interface Replay {
  /** UUID version 7. */
  id: string;
  ownerId: string;
  eventName: string;
  version: number;
  compareTo: number | null;
  /** JSON Pointers into bodies that may differ. */
  ignore: string[];
  createdAt: Date;
  items: ReplayItem[];
}

/** Kept calls and what was run again. Every method may reject when the database is away. */
export interface ReplayStore {
  keep(calls: readonly KeptCall[]): Promise<void>;
  /** `undefined` when it is not kept. */
  payloadOf(invocationId: string): Promise<{ payload: unknown } | undefined>;
  /** Ids of the event's last invocations that have ended, are no replays and can be run again, the newest first. */
  recent(event: Pick<Event, 'id' | 'name' | 'ownerId'>, limit: number): Promise<string[]>;
  /**
   * Keeps the replay and puts its invocations into the queue, both or none; resolves when they are on the disk. One whose payload
   * is gone meanwhile is left out.
   */
  start(replay: Replay, requestsOf: (item: ReplayItem, payload: unknown) => EnqueueRequest[]): Promise<void>;
  find(ownerId: string, id: string): Promise<Replay | undefined>;
  /** An invocation that has ended, with what it answered; `undefined` while it has not, or when it is not kept any more. */
  side(invocationId: string): Promise<Side | 'pending' | 'gone'>;
  saveComparison(replayId: string, candidateId: string, comparison: Comparison): Promise<void>;
  /** Removes replays that were asked for before, the oldest first and so many at most. Resolves to how many. */
  prune(createdBefore: Date, limit: number): Promise<number>;
}
