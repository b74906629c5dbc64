import { type ErrorCode, GatewayError } from '../errors.ts';
import type { Enqueued, EnqueueRequest, Enqueuer } from './enqueue.ts';
import type { ClaimResult, IdempotencyStore, KeptAnswer, KeyClaim } from './idempotency.ts';
import type { InvokeRequest, InvokeResponse, Invoker } from './invoke.ts';
import { observed } from './observed-stream.ts';

/** Wants a request to run once, however often it comes. */
export interface Once extends Pick<KeyClaim, 'key' | 'fingerprint' | 'ttlMs'> {
  /**
   * `every` answer of the function is kept, its failures too: what it did before it failed is not done again. With `good` a
   * failure, and a status of 500 and above, leaves the key free for whoever tries again.
   */
  keeps: 'every' | 'good';
}

export interface OnceDeps {
  invoker: Invoker;
  enqueuer: Enqueuer;
  idempotency: IdempotencyStore;
  /** Longest wait for a turn and a sandbox, ms. */
  queueTimeoutMs: number;
  /** Hears that an answer was given and could not be kept; may not throw. */
  onNotKept: (error: unknown) => void;
}

export interface OnceResponse {
  answer: InvokeResponse;
  /** That of the first one, when this was not the first. */
  version: number;
  replayed: boolean;
}

/** Larger answers are not kept. */
const MAX_KEPT_BYTES = 1_048_576;
/** On top of the longest that a call can take, ms: until then its gateway may be alive. */
const LEASE_MARGIN_MS = 30_000;
const RETRY_AFTER_SECONDS = 1;
const DEDUP_SCOPE = 'idempotency-key';

/** Failures that are the function's own, so that it has run. */
const OWN_FAILURES: ReadonlySet<ErrorCode> = new Set([
  'function_error',
  'out_of_memory',
  'invalid_response',
  'response_too_large',
  'function_timeout',
]);

/**
 * Invokes, or answers as the first request with the key was answered. A caller that goes does not end it: the answer is kept
 * for when it comes again.
 * @throws GatewayError `idempotency_conflict` while the first runs, `idempotency_mismatch` for another request with the key,
 *   `answer_not_kept` when the first answer was too large, and what the first request failed with
 */
export async function invokeOnce(request: InvokeRequest, once: Once, deps: OnceDeps): Promise<OnceResponse> {
  const leaseMs = deps.queueTimeoutMs + request.event.current.limits.timeoutMs + LEASE_MARGIN_MS;
  const claim = { ...once, invocationId: request.id, leaseMs };
  const result = await deps.idempotency.claim(claim);
  if (result.state !== 'granted') return replayOf(refuseUnanswered(result));
  const { version } = request.event.current;
  const keeper = new Keeper(claim, once, version, deps);
  let answer: InvokeResponse;
  try {
    answer = await deps.invoker.invoke(request, new AbortController().signal);
  } catch (error) {
    await keeper.failed(error);
    throw error;
  }
  if (answer.body instanceof Uint8Array) await keeper.answered(answer, answer.body);
  else {
    const body = observed(answer.body, {
      maxBytes: MAX_KEPT_BYTES,
      ended: (whole) => keeper.answered(answer, whole),
      failed: (error) => keeper.failed(error),
    });
    answer = { ...answer, body };
  }
  return { answer, version, replayed: false };
}

/** Enqueues, or says what the first request with the key was enqueued as. @throws GatewayError as `invokeOnce` */
export async function enqueueOnce(request: EnqueueRequest, once: Once, deps: OnceDeps): Promise<Enqueued> {
  const claim = { ...once, invocationId: request.id, leaseMs: LEASE_MARGIN_MS };
  const result = await deps.idempotency.claim(claim);
  if (result.state !== 'granted') return { id: refuseUnanswered(result).invocationId, duplicate: true };
  try {
    // Should this gateway die before the answer is kept, who tries again does not enqueue again.
    const dedup = { scope: DEDUP_SCOPE, key: once.key, ttlMs: once.ttlMs };
    const enqueued = await deps.enqueuer.enqueue({ ...request, dedup });
    await new Keeper(claim, once, 0, deps).keep({ kind: 'accepted', invocationId: enqueued.id });
    return enqueued;
  } catch (error) {
    await deps.idempotency.release(claim).catch(deps.onNotKept);
    throw error;
  }
}

function refuseUnanswered(result: Exclude<ClaimResult, { state: 'granted' }>): KeptAnswer {
  if (result.state === 'answered') return result.answer;
  if (result.state === 'mismatch') {
    const message =
      'This Idempotency-Key was used for another request; send the request that it was used for, or another key';
    throw new GatewayError('idempotency_mismatch', message);
  }
  throw new GatewayError(
    'idempotency_conflict',
    'The first request with this key still runs; try again shortly',
    {
      retryAfterSeconds: RETRY_AFTER_SECONDS,
      invocationId: result.invocationId,
    },
  );
}

function replayOf(kept: KeptAnswer): OnceResponse {
  const { invocationId } = kept;
  if (kept.kind === 'failure') {
    throw new GatewayError(kept.code, kept.message, { invocationId, replayed: true });
  }
  if (kept.kind !== 'response') {
    const message = `The first request with this key was answered, and its answer was too large to be kept: more than ${MAX_KEPT_BYTES} bytes`;
    throw new GatewayError('answer_not_kept', message, { invocationId });
  }
  const { kind: _kind, version, ...answer } = kept;
  return { answer: { ...answer, phases: {} }, version, replayed: true };
}

/** Writes down what came of a request that holds its key. Does not fail: the caller is answered in any case. */
class Keeper {
  readonly #claim: KeyClaim;
  readonly #keeps: Once['keeps'];
  readonly #version: number;
  readonly #deps: OnceDeps;

  constructor(claim: KeyClaim, { keeps }: Once, version: number, deps: OnceDeps) {
    this.#claim = claim;
    this.#keeps = keeps;
    this.#version = version;
    this.#deps = deps;
  }

  /** @param body `undefined` when it was too large */
  async answered(answer: InvokeResponse, body: Uint8Array | undefined): Promise<void> {
    const { invocationId, statusCode, headers, cookies, start, isolation, securityLevel, receipt } = answer;
    if (this.#keeps === 'good' && statusCode >= 500) return this.#release();
    if (body === undefined || body.byteLength > MAX_KEPT_BYTES) {
      return this.keep({ kind: 'too_large', invocationId });
    }
    const given = { isolation, ...(securityLevel && { securityLevel }) };
    const head = { invocationId, statusCode, headers, cookies, start, ...given, version: this.#version };
    return this.keep({ kind: 'response', ...head, body, ...(receipt !== undefined && { receipt }) });
  }

  async failed(error: unknown): Promise<void> {
    const isOwn = error instanceof GatewayError && OWN_FAILURES.has(error.code);
    if (!isOwn || this.#keeps === 'good') return this.#release();
    const { code, message } = error;
    return this.keep({ kind: 'failure', invocationId: this.#claim.invocationId, code, message });
  }

  async keep(answer: KeptAnswer): Promise<void> {
    // Of no use to who tries again when it is not kept, but no harm either: the lease ends by itself.
    await this.#deps.idempotency.keep(this.#claim, answer).catch(this.#deps.onNotKept);
  }

  async #release(): Promise<void> {
    await this.#deps.idempotency.release(this.#claim).catch(this.#deps.onNotKept);
  }
}
