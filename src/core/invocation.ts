import type { SecurityLevel } from './isolation.ts';
import type { Exit } from './sandbox.ts';
import type { Trigger } from './trigger.ts';

/** Where an invocation stands. The last five are final. */
export const INVOCATION_STATUSES = [
  'queued',
  'running',
  'succeeded',
  'failed',
  'timed_out',
  'cancelled',
  'dead',
] as const;
export type InvocationStatus = (typeof INVOCATION_STATUSES)[number];

export const isFinal = (status: InvocationStatus) => status !== 'queued' && status !== 'running';

export type StartKind = 'warm' | 'cold';

/** Where the time of an invocation went, in ms. A phase that was not reached is absent. */
export interface Phases {
  admit?: number;
  acquire?: number;
  inject?: number;
  exec?: number;
  destroy?: number;
}

/** What is kept of one invocation. */
export interface Invocation {
  /** UUID version 7: ids sort by time. */
  id: string;
  eventId: string;
  eventName: string;
  eventVersion: number;
  ownerId: string;
  /** The `sub` of the caller's token; `null` for an anonymous call of a public event. */
  callerId: string | null;
  status: InvocationStatus;
  start: StartKind | null;
  isolation: string | null;
  /** The level of the sandbox that it ran in; absent while it has none. */
  securityLevel?: SecurityLevel;
  phases: Phases;
  /** The HTTP status the caller got. */
  statusCode: number | null;
  exit: Exit | null;
  error: { code: string; message: string; trace?: string } | null;
  logs: string;
  logsTruncated: boolean;
  createdAt: Date;
  endedAt: Date | null;
  /** A compact JWS that vouches for it, where one was asked for and it has ended. */
  receipt?: string;
  trigger: Trigger;
  /** How often it was begun; 0 while a durable one waits for the first time. */
  attempt: number;
  /** Attempts since it was accepted or redriven that the function itself failed. */
  failures: number;
  /** The invocation that this one runs again. */
  replayOf: string | null;
}
