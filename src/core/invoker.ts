import { GatewayError } from '../errors.ts';
import type { Event } from './event.ts';
import { Execution } from './execution.ts';
import type { ExecutionDeps } from './execution-deps.ts';
import type { Invocation } from './invocation.ts';
import type { InvokeRequest, InvokeResponse, Invoker } from './invoke.ts';
import type { SandboxSpec } from './sandbox.ts';

/** Runs events in sandboxes: admit → take → inject → run → destroy → record. */
export class SandboxInvoker implements Invoker {
  readonly #deps: ExecutionDeps;
  readonly #running = new Map<string, Execution>();
  #closing = false;

  constructor(deps: ExecutionDeps) {
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
    request.durable?.began();
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
          if (request.durable === undefined) record(invocation);
          else request.durable.ended(invocation);
          observer?.invocationEnded(invocation, runtime, request);
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
