import { type ErrorCode, GatewayError, messageOf } from '../errors.ts';
import { callOf } from './call.ts';
import { ExecutionAnswer } from './execution-answer.ts';
import type { ExecutionDeps } from './execution-deps.ts';
import { ExecutionRecord } from './execution-record.ts';
import { FunctionVariables } from './function-variables.ts';
import type { Invocation, InvocationStatus } from './invocation.ts';
import { type InvokeRequest, type InvokeResponse, userKeyOf } from './invoke.ts';
import { demandIsolation } from './isolation-demand.ts';
import type { CallObserver, Outcome, SandboxSpec } from './sandbox.ts';
import { tierOf } from './tiers.ts';

/** What ended a call that neither succeeded nor failed by itself. */
const STATUS_AFTER: Partial<Record<ErrorCode, InvocationStatus>> = {
  function_timeout: 'timed_out',
  client_closed: 'cancelled',
  shutting_down: 'cancelled',
};

const ANSWER_LEAVES_MS = 2;

/** One invocation on its way: from its turn over its sandbox to its record. */
export class Execution {
  /** Resolves, never rejects, when the sandbox is gone and the record has been handed on. */
  readonly finished: Promise<void>;
  readonly #request: InvokeRequest;
  readonly #spec: SandboxSpec;
  readonly #deps: ExecutionDeps;
  readonly #abort = new AbortController();
  readonly #record: ExecutionRecord;
  readonly #answer: ExecutionAnswer;
  readonly #finish: () => void;

  constructor(request: InvokeRequest, spec: SandboxSpec, deps: ExecutionDeps) {
    this.#request = request;
    this.#spec = spec;
    this.#deps = deps;
    this.#record = new ExecutionRecord(request, deps.clock, deps.options.callLimits.logBytes);
    const { receipt } = request;
    this.#answer = new ExecutionAnswer(request, this.#record, {
      responseBytes: deps.options.callLimits.responseBytes,
      receipt: receipt && deps.receipts?.begin({ ...request, receipt }, spec),
      abort: (reason) => this.#abort.abort(reason),
    });
    const finished = Promise.withResolvers<void>();
    this.finished = finished.promise;
    this.#finish = finished.resolve;
  }

  /** @param signal the caller's: aborted when the client is gone */
  start(signal: AbortSignal): Promise<InvokeResponse> {
    const onGone = () =>
      this.#abort.abort(new GatewayError('client_closed', 'The client closed the connection.'));
    if (signal.aborted) onGone();
    signal.addEventListener('abort', onGone, { once: true });
    this.#carry()
      .catch((error) => this.#deps.onEngineError(error))
      .finally(() => {
        signal.removeEventListener('abort', onGone);
        this.#finish();
      });
    return this.#answer.begun;
  }

  cancel(): void {
    this.#abort.abort(
      new GatewayError('shutting_down', 'The gateway shut down before the function had answered.'),
    );
  }

  snapshot(): Invocation {
    return this.#record.underWay();
  }

  async #carry(): Promise<void> {
    let release: (() => void) | undefined;
    try {
      release = await this.#acquire();
      const outcome = await this.#run();
      // The slot is free when the function is done: destroying costs the engine, not the next caller.
      release();
      this.#settle(outcome);
      await this.#letAnswerLeave();
    } catch (error) {
      this.#refuse(error);
    } finally {
      release?.();
      await this.#destroy();
    }
  }

  /** Waits for a turn and a sandbox, both within the same deadline. */
  async #acquire(): Promise<() => void> {
    const { admission, pools, clock, options } = this.#deps;
    const { signal } = this.#abort;
    demandIsolation(this.#request.event, this.#deps.grade);
    const cancel = clock.after(options.queueTimeoutMs, () => this.#abort.abort(this.#noCapacity()));
    let release: (() => void) | undefined;
    try {
      const { caller, forceCold, durable } = this.#request;
      const tier = tierOf(options.tiers, caller.tier);
      release =
        durable === undefined
          ? await admission.enter(this.#userKey, signal, tier)
          : await admission.enterBehind(this.#userKey, signal, tier);
      this.#record.endPhase('admit');
      this.#record.taken = await pools.take(this.#spec, signal, forceCold);
      this.#record.endPhase('acquire');
      return release;
    } catch (error) {
      release?.();
      throw error;
    } finally {
      cancel();
    }
  }

  get #userKey(): string {
    return userKeyOf(this.#request);
  }

  #noCapacity(): GatewayError {
    const { admission, pools, options } = this.#deps;
    const failing = pools.lastError(this.#spec);
    const { retryAfterSeconds } = admission;
    // Who has a turn and no sandbox waits for the host and not for others.
    if (failing === null && this.#record.phases.admit !== undefined && pools.shortOfMemory) {
      const message = 'The host is short of memory, and no sandbox was booted; try again later.';
      return new GatewayError('no_capacity', message, { retryAfterSeconds });
    }
    if (failing === null) return admission.waitedTooLong(this.#userKey, options.queueTimeoutMs);
    return new GatewayError(failing.code, failing.message, { retryAfterSeconds, cause: failing });
  }

  async #run(): Promise<Outcome> {
    const { timeoutMs } = this.#request.event.current.limits;
    const late = () =>
      new GatewayError('function_timeout', `The function did not end within its ${timeoutMs} ms.`);
    const cancel = this.#deps.clock.after(timeoutMs, () => this.#abort.abort(late()));
    try {
      return await this.#record.taken!.sandbox.run(
        callOf(this.#request, this.#deps.options.callLimits),
        this.#observer(),
        this.#abort.signal,
      );
    } finally {
      cancel();
      this.#record.endPhase('exec');
    }
  }

  /** They are the owner's, whoever calls: the code is the owner's, and so is what it knows. */
  #variables(): FunctionVariables {
    const { clock, variables } = this.#deps;
    const { event, trigger } = this.#request;
    const of = { ownerId: event.ownerId, isReplay: trigger === 'replay' };
    return new FunctionVariables(variables!, of, clock);
  }

  #observer(): CallObserver {
    let variables: FunctionVariables | undefined;
    return {
      ...(this.#deps.variables && {
        variable: (request) => {
          variables ??= this.#variables();
          return variables.answer(request);
        },
      }),
      injected: () => this.#record.endPhase('inject'),
      head: (head) => this.#answer.begin(head),
      data: (chunk) => this.#answer.write(chunk),
      log: (chunk) => this.#record.logs.append(chunk),
    };
  }

  #settle(outcome: Outcome): void {
    this.#record.droppedLog = outcome.droppedLogBytes > 0;
    if (outcome.status === 'failed') {
      const failure = this.#record.masked(outcome.failure);
      const { code } = outcome.failure;
      this.#record.ended = { status: 'failed', exit: outcome.exit, error: failure };
      this.#answer.fail(
        new GatewayError(code, failure.message, {
          invocationId: this.#request.id,
          timing: this.#record.phases,
        }),
        outcome.failure,
      );
    } else {
      this.#record.ended = { status: 'succeeded', exit: outcome.exit, error: null };
      // It throws when the value is no response; the call has then failed after all.
      this.#answer.end(outcome.result);
    }
  }

  /** Ending a sandbox keeps a processor busy for milliseconds, which the answer on its way to the caller needs first. */
  #letAnswerLeave(): Promise<void> {
    return new Promise((resolve) => this.#deps.clock.after(ANSWER_LEAVES_MS, resolve));
  }

  /** What ended the call was not the function's own doing: the gateway's limits, the engine or the client. */
  #refuse(error: unknown): void {
    const known = error instanceof GatewayError ? error : undefined;
    const code = known?.code ?? 'internal_error';
    const message = known?.message ?? 'The gateway failed to run the function.';
    if (known === undefined) this.#deps.onEngineError(error);
    const { retryAfterSeconds } = known ?? {};
    const status = STATUS_AFTER[code] ?? 'failed';
    this.#record.ended = {
      status,
      exit: null,
      error: this.#record.masked({ code, message: known?.message ?? messageOf(error) }),
    };
    this.#answer.fail(
      new GatewayError(code, this.#record.masked({ code, message }).message, {
        invocationId: this.#request.id,
        timing: this.#record.phases,
        cause: error,
        ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
      }),
    );
  }

  async #destroy(): Promise<void> {
    if (this.#record.taken !== undefined) {
      this.#record.beginPhase();
      await this.#record.taken.sandbox.destroy().catch((error) => this.#deps.onEngineError(error));
      this.#record.endPhase('destroy');
    }
    const receipt = await this.#answer.receipt()?.catch(this.#deps.onEngineError);
    this.#deps.record({
      ...this.#record.whole(),
      endedAt: new Date(),
      ...(receipt && { receipt }),
    });
  }
}
