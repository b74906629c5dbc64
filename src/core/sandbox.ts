import type { Runtime } from './event.ts';
import type { Kernel, SecurityLevel } from './isolation.ts';
import type { VariableAnswer, VariableRequest } from './variables.ts';

/** What a sandbox is booted with. Nothing of a caller is in it: one spec serves every function of its language and size. */
export interface SandboxSpec {
  runtime: Runtime;
  memoryBytes: number;
  cpus: number;
  /** Processes and threads together. */
  pids: number;
  tmpBytes: number;
  runBytes: number;
}

/** Pools are kept by this key: two specs with the same key are served by the same warm sandboxes. */
export function poolKey(spec: SandboxSpec): string {
  const megabytes = Math.round(spec.memoryBytes / 2 ** 20);
  return `${spec.runtime}/${megabytes}mb/${spec.cpus}cpu`;
}

/** Everything that crosses into a sandbox at hand-off, in one go. */
export interface Call {
  invocationId: string;
  functionName: string;
  functionVersion: number;
  memoryMb: number;
  /** Unix time in ms at which the gateway ends the call. */
  deadlineMs: number;
  code: string;
  /** The function's whole environment, secrets among it. */
  env: Record<string, string>;
  /** The Lambda payload 2.0 event, or whatever JSON value the caller gives. */
  event: unknown;
  limits: CallLimits;
}

/** Bounds, in bytes where not said otherwise, on what a sandbox may send; the agent keeps them and the gateway enforces them again. */
export interface CallLimits {
  logBytes: number;
  /** A response that is returned whole. */
  responseBytes: number;
  /** A response that is streamed. */
  streamBytes: number;
  /** How often it may ask for a variable; never when not given. */
  calls?: number;
}

/** The status line and headers with which a function begins a streamed response. Names are lower-case. */
export interface ResponseHead {
  statusCode: number;
  headers: Record<string, string>;
  cookies: string[];
}

/** Hears a call while it runs. Methods are called in the order of the frames; none of them may throw. */
export interface CallObserver {
  /** Code, environment and event have been handed to the sandbox. */
  injected(): void;
  head(head: ResponseHead): void;
  /** A returned promise holds the sandbox back until it settles: that is how a slow client slows the function down. */
  data(chunk: Uint8Array): void | Promise<void>;
  log(chunk: Uint8Array): void;
  /** Answers what the function asks of variables, and never rejects; it has none when this is not given. */
  variable?(request: VariableRequest): Promise<VariableAnswer>;
}

export type FunctionErrorCode =
  | 'function_error'
  | 'out_of_memory'
  | 'invalid_response'
  | 'response_too_large';

/** How a function failed. `message` is the function's own and may hold what only its owner may see. */
export interface FunctionFailure {
  code: FunctionErrorCode;
  message: string;
  /** The language's name of the error, such as `ZeroDivisionError`. */
  type?: string;
  trace?: string;
}

/** How a function's process ended, where one ended. */
export interface Exit {
  code: number | null;
  signal: string | null;
}

/** What a function returned. */
export interface FunctionResult {
  value: unknown;
  /** The value as the function's language wrote it, UTF-8. */
  json: Uint8Array;
}

/** How a call ended. `result` is set when the response came whole and not through `head` and `data`. */
export type Outcome =
  | { status: 'succeeded'; result?: FunctionResult; exit: Exit | null; droppedLogBytes: number }
  | { status: 'failed'; failure: FunctionFailure; exit: Exit | null; droppedLogBytes: number };

export type CloseReason = 'destroyed' | 'died';

/**
 * One sandbox, booted and waiting. It runs one call and is then good for nothing but `destroy`.
 */
export interface Sandbox {
  /** Unique over the life of the gateway; never reused. */
  readonly id: string;
  /** What isolates it, as callers read it in `X-Cronium-Isolation`: `docker+runc`, `bubblewrap`. */
  readonly isolation: string;
  readonly level: SecurityLevel;
  /** Digest of the image that it was made from, `sha256:…`; `null` where the host's own files are its root. */
  readonly image: string | null;
  /** Resolves, never rejects, when the sandbox is gone, whoever ended it. */
  readonly closed: Promise<CloseReason>;
  /**
   * Runs the call. A second run is a programming error and throws.
   * Rejects with `signal.reason` when the signal aborts first; the sandbox must then still be destroyed.
   */
  run(call: Call, observer: CallObserver, signal: AbortSignal): Promise<Outcome>;
  /** Ends everything that runs in it and removes it. Safe in every state; the same promise for every call. */
  destroy(): Promise<void>;
}

/** A way to make sandboxes on this host. */
export interface SandboxBackend {
  readonly isolation: string;
  /** As it was found from inside a sandbox; `host` where nothing stronger was proved. */
  readonly kernel: Kernel;
  /** The level of all its sandboxes. A backend that does not meet the level asked of it is refused, and never lowers it. */
  readonly level: SecurityLevel;
  /** What an operator should know of its host, in words. */
  readonly notes?: readonly string[];
  /**
   * Resolves when the sandbox's agent has answered.
   * Rejects with `engine_unavailable` when the engine does not do it, with `signal.reason` when aborted; nothing is left then.
   */
  create(spec: SandboxSpec, signal: AbortSignal): Promise<Sandbox>;
  /** Removes what an earlier run of this gateway left behind, and nothing else. Resolves to how many were removed. */
  sweep(): Promise<number>;
  /** Destroys whatever is still there and frees connections. */
  close(): Promise<void>;
}
