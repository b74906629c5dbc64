/** What a caller did that the gateway refuses, or what went wrong while serving. Stable: callers match on it. */
export type ErrorCode =
  | 'bad_request'
  | 'invalid_json'
  | 'unauthorized'
  | 'invalid_token'
  | 'invalid_signature'
  | 'insufficient_scope'
  | 'event_disabled'
  | 'not_found'
  | 'method_not_allowed'
  | 'event_exists'
  | 'schedule_exists'
  | 'schedule_quota_exceeded'
  | 'variable_quota_exceeded'
  | 'idempotency_conflict'
  | 'idempotency_mismatch'
  | 'answer_not_kept'
  | 'invocation_ended'
  | 'payload_gone'
  | 'precondition_failed'
  | 'request_timeout'
  | 'body_too_large'
  | 'headers_too_large'
  | 'unsupported_media_type'
  | 'validation_failed'
  | 'too_many_requests'
  | 'client_closed'
  | 'internal_error'
  | 'function_error'
  | 'out_of_memory'
  | 'invalid_response'
  | 'response_too_large'
  | 'no_capacity'
  | 'engine_unavailable'
  | 'isolation_unavailable'
  | 'audit_unavailable'
  | 'auth_unavailable'
  | 'store_unavailable'
  | 'shutting_down'
  | 'function_timeout';

/** The one place where a code becomes an HTTP status; exhaustive, so a new code without a status does not compile. */
export const STATUS_OF: Readonly<Record<ErrorCode, number>> = {
  bad_request: 400,
  invalid_json: 400,
  unauthorized: 401,
  invalid_token: 401,
  invalid_signature: 401,
  insufficient_scope: 403,
  event_disabled: 403,
  not_found: 404,
  method_not_allowed: 405,
  event_exists: 409,
  schedule_exists: 409,
  schedule_quota_exceeded: 409,
  variable_quota_exceeded: 409,
  idempotency_conflict: 409,
  idempotency_mismatch: 422,
  answer_not_kept: 422,
  invocation_ended: 409,
  payload_gone: 410,
  precondition_failed: 412,
  request_timeout: 408,
  body_too_large: 413,
  headers_too_large: 431,
  unsupported_media_type: 415,
  validation_failed: 422,
  too_many_requests: 429,
  client_closed: 499,
  internal_error: 500,
  function_error: 502,
  out_of_memory: 502,
  invalid_response: 502,
  response_too_large: 502,
  no_capacity: 503,
  engine_unavailable: 503,
  isolation_unavailable: 503,
  audit_unavailable: 503,
  auth_unavailable: 503,
  store_unavailable: 503,
  shutting_down: 503,
  function_timeout: 504,
};

/** One fault in a request that is well-formed but not valid. `path` is a JSON pointer-like dotted path: `env.PATH`. */
export interface Fault {
  path: string;
  message: string;
}

/** Where the time of an invocation that failed went, ms. */
export type Timing = Readonly<Partial<Record<'admit' | 'acquire' | 'inject' | 'exec', number>>>;

export interface GatewayErrorOptions {
  /** Seconds after which trying again is worthwhile; becomes `Retry-After`. */
  retryAfterSeconds?: number;
  faults?: readonly Fault[];
  invocationId?: string;
  timing?: Timing;
  /** The scope that would have allowed it, for `insufficient_scope`. */
  scope?: string;
  /** It is what an earlier request with the same key came to. */
  replayed?: boolean;
  cause?: unknown;
}

/** An error whose message is meant for the caller: it names what is wrong and the remedy, never an internal. */
export class GatewayError extends Error {
  override readonly name = 'GatewayError';
  readonly code: ErrorCode;
  readonly retryAfterSeconds: number | undefined;
  readonly faults: readonly Fault[];
  readonly invocationId: string | undefined;
  readonly timing: Timing;
  readonly scope: string | undefined;
  readonly replayed: boolean;

  constructor(code: ErrorCode, message: string, options: GatewayErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.faults = options.faults ?? [];
    this.invocationId = options.invocationId;
    this.timing = { ...options.timing };
    this.scope = options.scope;
    this.replayed = options.replayed ?? false;
  }

  get status(): number {
    return STATUS_OF[this.code];
  }
}

/** The message of anything that can be thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
