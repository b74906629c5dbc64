import { GatewayError } from '../errors.ts';
import type { Admission } from './admission.ts';
import type { Clock } from './clock.ts';
import type { Event } from './event.ts';
import { Execution } from './execution.ts';
import type { Observer, Tracer } from './observer.ts';
import type { Pools } from './pools.ts';
import type { RawFailure } from './raw-answer.ts';
import type { CallLimits, ResponseHead, SandboxSpec } from './sandbox.ts';
import type { Invocation, Phases, StartKind } from './store.ts';
import type { Tiers } from './tiers.ts';

/** Somebody who calls: who they are and what they pay for. */
export interface Caller {
  /** `null` for an anonymous call of a public event. */
  userId: string | null;
  tier: string | null;
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
}

/** A function's answer, begun: the head is final, the body may still be on its way. */
export interface InvokeResponse extends ResponseHead {
  invocationId: string;
  start: StartKind;
  isolation: string;
  /** The phases known when the head was: admit, acquire, inject and, for a whole response, exec. */
  phases: Phases;
  /** Whole, or streamed; a stream that fails in the middle errors, and the connection must then be cut. */
  body: Uint8Array | ReadableStream<Uint8Array>;
  /** Set in raw mode: how it ended. The body is then whole: the value as JSON, or the bytes that the function streamed. */
  raw?: RawEnd;
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

export interface InvokerOptions {
  /** Longest wait for a turn and a sandbox together, ms. */
  queueTimeoutMs: number;
  pids: number;
  tmpBytes: number;
  runBytes: number;
  callLimits: CallLimits;
  tiers: Tiers;
}

export interface InvokerDeps {
  admission: Admission;
  pools: Pools;
  clock: Clock;
  /** Keeps a finished invocation; must not block. */
  record: (invocation: Invocation) => void;
  onEngineError: (error: unknown) => void;
  observer?: Observer;
  tracer?: Tracer;
  options: InvokerOptions;
}

/** Runs events in sandboxes: admit → take → inject → run → destroy → record. */
export class SandboxInvoker implements Invoker {
  readonly #deps: InvokerDeps;
  readonly #running = new Map<string, Execution>();
  #closing = false;

  constructor(deps: InvokerDeps) {
    this.#deps = deps;
  }

  async invoke(request: InvokeRequest, signal: AbortSignal): Promise<InvokeResponse> {
    if (this.#closing) {
      this.#deps.observer?.refused('shutting_down');
      const options = { retryAfterSeconds: 5, invocationId: request.id };
      throw new GatewayError('shutting_down', 'The gateway is shutting down.', options);
    }
    const execution = this.#observed(request);
    this.#running.set(request.id, execution);
    execution.finished.then(() => this.#running.delete(request.id));
    return execution.start(signal);
  }

  /** An execution that those who watch hear of. */
  #observed(request: InvokeRequest): Execution {
    const { observer, tracer, record } = this.#deps;
    const trace = tracer?.begin(request);
    const { runtime } = request.event.current;
    return new Execution(
      trace === undefined ? request : { ...request, traceparent: trace.traceparent },
      this.specOf(request.event),
      {
        ...this.#deps,
        record: (invocation) => {
          record(invocation);
          observer?.invocationEnded(invocation, runtime);
          trace?.end(invocation);
        },
      },
    );
  }

  /** The sandbox that an event needs. */
  specOf({ current }: Event): SandboxSpec {
    const { pids, tmpBytes, runBytes } = this.#deps.options;
    const { memoryMb, cpus } = current.limits;
    return { runtime: current.runtime, memoryBytes: memoryMb * 2 ** 20, cpus, pids, tmpBytes, runBytes };
  }

  /** An invocation that has not ended, as it stands now. */
  inFlight(id: string): Invocation | undefined {
    return this.#running.get(id)?.snapshot();
  }

  /** Takes no more, waits for those that run, and after the grace ends the rest. Resolves when every sandbox used is gone. */
  async close(graceMs: number): Promise<void> {
    this.#closing = true;
    const all = () => Promise.all([...this.#running.values()].map((execution) => execution.finished));
    const { promise: graceOver, resolve } = Promise.withResolvers<void>();
    const cancel = this.#deps.clock.after(graceMs, resolve);
    await Promise.race([all(), graceOver]);
    cancel();
    for (const execution of this.#running.values()) execution.cancel();
    await all();
  }
}
