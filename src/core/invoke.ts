import type { Caller } from './caller.ts';
import type { Event } from './event.ts';
import type { Invocation, Phases, StartKind } from './invocation.ts';
import type { SecurityLevel } from './isolation.ts';
import type { RawFailure } from './raw-answer.ts';
import type { ResponseHead } from './sandbox.ts';
import type { Trigger } from './trigger.ts';

/** A caller's wish for a receipt. */
export interface ReceiptRequest {
  /** Hex SHA-256 of the request, as the caller can work it out too. */
  inputSha256: string;
}

export interface InvokeRequest {
  /** UUID version 7. */
  id: string;
  event: Event;
  caller: Caller;
  /** What the handler receives. */
  payload: unknown;
  /** W3C trace context, passed on to the function as `_TRACEPARENT`. */
  traceparent?: string;
  /** Boot a sandbox for this call even when a warm one waits. */
  forceCold: boolean;
  /**
   * `raw` asks for the value itself, whole, as Lambda's own API gives it: a value is not taken for an HTTP response, and a
   * function that fails is an answer and no error. `http` when not given.
   */
  mode?: 'http' | 'raw';
  /** Given when the caller wants it vouched for. */
  receipt?: ReceiptRequest;
  /** Where it comes from; `http` when not given. A `replay` changes no variable. */
  trigger?: Trigger;
  /** The invocation that this one runs again. */
  replayOf?: string;
  /** Set for an invocation from the queue. */
  durable?: Durable;
}

/**
 * An attempt whose record is kept by whoever asks for it. It waits behind calls that somebody waits for, and is not counted against
 * a rate: that was done when it was accepted.
 */
export interface Durable {
  /** How often it was begun, this time included. */
  attempt: number;
  failures: number;
  /** From now on the record will come, whatever `invoke` says. */
  began(): void;
  /** In place of the gateway's recorder. */
  ended(invocation: Invocation): void;
}

/** A function's answer, begun: the head is final, the body may still be on its way. */
export interface InvokeResponse extends ResponseHead {
  invocationId: string;
  start: StartKind;
  isolation: string;
  /** Absent in an answer that was kept by a gateway that did not know of levels. */
  securityLevel?: SecurityLevel;
  /** The phases known when the head was: admit, acquire, inject and, for a whole response, exec. */
  phases: Phases;
  /** Whole, or streamed; a stream that fails in the middle errors, and the connection must then be cut. */
  body: Uint8Array | ReadableStream<Uint8Array>;
  /** Set in raw mode: how it ended. The body is then whole: the value as JSON, or the bytes that the function streamed. */
  raw?: RawEnd;
  /** A compact JWS, where one was asked for and the body is whole; of a stream it is in the record. */
  receipt?: string;
}

/** For the event's owner only: it holds the function's own words, with its secrets masked. */
export interface RawEnd {
  failure: RawFailure | null;
  logs: string;
  logsTruncated: boolean;
}

/** Carries one invocation from admission to record. Rejects with a GatewayError that has the invocation's id. */
export interface Invoker {
  invoke(request: InvokeRequest, signal: AbortSignal): Promise<InvokeResponse>;
}

/** Who share a turn: anonymous calls of public events are one user for each owner. */
export function userKeyOf({ caller, event }: Pick<InvokeRequest, 'caller' | 'event'>): string {
  return caller.userId ?? `public:${event.ownerId}`;
}
