import type { Admission } from './admission.ts';
import type { Clock } from './clock.ts';
import type { VariablesDeps } from './function-variables.ts';
import type { Invocation } from './invocation.ts';
import type { IsolationGrade } from './isolation.ts';
import type { Observer, Tracer } from './observer.ts';
import type { Pools } from './pools.ts';
import type { ReceiptIssuer } from './receipt.ts';
import type { CallLimits } from './sandbox.ts';
import type { Tiers } from './tiers.ts';

/** The bounds of every invocation. */
export interface ExecutionOptions {
  /** Longest wait for a turn and a sandbox together, ms. */
  queueTimeoutMs: number;
  pids: number;
  tmpBytes: number;
  runBytes: number;
  callLimits: CallLimits;
  tiers: Tiers;
}

/** What an invocation needs on its way. */
export interface ExecutionDeps {
  admission: Admission;
  pools: Pools;
  /** What isolates every sandbox of the pools. */
  grade: IsolationGrade;
  clock: Clock;
  /** Keeps a finished invocation; must not block. */
  record: (invocation: Invocation) => void;
  onEngineError: (error: unknown) => void;
  observer?: Observer;
  tracer?: Tracer;
  receipts?: ReceiptIssuer;
  /** Functions have no variables without it. */
  variables?: VariablesDeps;
  options: ExecutionOptions;
}
