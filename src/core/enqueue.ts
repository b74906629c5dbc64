import type { Caller } from './caller.ts';
import type { Event } from './event.ts';
import type { ReceiptRequest } from './invoke.ts';
import type { Trigger } from './trigger.ts';

/** An invocation that is to run whatever dies: stored before anybody is told that it was taken. */
export interface EnqueueRequest {
  /** UUID version 7. */
  id: string;
  /** With the version that is to run: it is pinned here, and a later deploy does not change what was accepted. */
  event: Event;
  caller: Caller;
  trigger: Exclude<Trigger, 'http'>;
  /** What the handler receives; any JSON value. */
  payload: unknown;
  /** W3C trace context of who asked. */
  traceparent?: string;
  /** Of several requests with the same key and scope, within so many ms of the first, one runs. */
  dedup?: { scope: string; key: string; ttlMs: number };
  /** Not before so many ms from now. */
  delayMs?: number;
  /** Told of the end, as OpenFaaS does by `X-Callback-Url`. */
  callbackUrl?: string;
  /** Given when the caller wants it vouched for. */
  receipt?: ReceiptRequest;
  /** The invocation that this one runs again. */
  replayOf?: string;
}

export interface Enqueued {
  /** Of the first one, when this is a duplicate. */
  id: string;
  duplicate: boolean;
}

/** Takes invocations that must not be lost. */
export interface Enqueuer {
  /**
   * Resolves when it is on the disk: from then on it runs at least once, whatever dies.
   * Rejects with `store_unavailable` when it could not be written, and with `isolation_unavailable` when the event demands more
   * isolation than there is; it will then not run.
   */
  enqueue(request: EnqueueRequest): Promise<Enqueued>;
}
