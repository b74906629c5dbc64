import type { ErrorCode } from '../errors.ts';
import type { Runtime } from './event.ts';
import type { Invocation } from './invocation.ts';
import type { InvokeRequest } from './invoke.ts';

/** A boot that came to its end. */
export interface BootEnd {
  runtime: Runtime;
  durationMs: number;
  ok: boolean;
}

/** Hears what the gateway does, to count it. No method may throw, block or keep what it is given. */
export interface Observer {
  /** Its sandbox is gone and its record final. Those that were refused are among them. */
  invocationEnded(invocation: Invocation, runtime: Runtime, request: InvokeRequest): void;
  /** Turned away before it had a sandbox. */
  refused(code: ErrorCode): void;
  bootEnded(boot: BootEnd): void;
}

/** Tells several of everything. */
export function observers(...all: readonly Observer[]): Observer {
  return {
    invocationEnded(...ended) {
      for (const each of all) each.invocationEnded(...ended);
    },
    refused(code) {
      for (const each of all) each.refused(code);
    },
    bootEnded(boot) {
      for (const each of all) each.bootEnded(boot);
    },
  };
}

/** One invocation's place in a distributed trace. */
export interface Trace {
  /** W3C: what the function continues. */
  readonly traceparent: string;
  end(invocation: Invocation): void;
}

/** Begins a trace, or continues the caller's, for each invocation. The rules of `Observer` hold. */
export interface Tracer {
  begin(request: InvokeRequest): Trace;
}
