import type { AuditTrail } from '../audit/trail.ts';
import type { Config } from '../config.ts';
import type { Admission } from '../core/admission.ts';
import { systemClock } from '../core/clock.ts';
import type { ExecutionOptions } from '../core/execution-deps.ts';
import { SandboxInvoker } from '../core/invoker.ts';
import { observers, type Tracer } from '../core/observer.ts';
import type { Pools } from '../core/pools.ts';
import type { SandboxBackend } from '../core/sandbox.ts';
import { MAX_VARIABLE_CALLS } from '../core/variables.ts';
import type { Log } from '../logger.ts';
import type { Metrics } from '../observe/metrics.ts';
import { receiptIssuer } from '../receipts/issuer.ts';
import type { Signer } from '../signing.ts';
import type { Database } from './database.ts';

/** How long a function waits for a variable while the database does not answer, ms. */
const VARIABLE_TIMEOUT_MS = 5_000;

export interface InvokerOptions {
  config: Config;
  gateway: string;
  log: Log;
  metrics: Metrics;
  tracer: Tracer | undefined;
  audit: AuditTrail | undefined;
  signer: Signer;
  database: Pick<Database, 'store' | 'recorder'>;
  backend: SandboxBackend;
  pools: Pools;
  admission: Admission;
  onEngineError: (error: unknown) => void;
}

/** What runs every call, whoever asks for it. */
export function createInvoker(options: InvokerOptions): SandboxInvoker {
  const { config, gateway, log, metrics, tracer, audit, signer, database, backend } = options;
  const { pools, admission, onEngineError } = options;
  return new SandboxInvoker({
    admission,
    pools,
    grade: backend,
    clock: systemClock,
    record: (invocation) => database.recorder.record(invocation),
    onEngineError,
    observer: audit === undefined ? metrics : observers(metrics, audit.observer),
    ...(tracer && { tracer }),
    receipts: receiptIssuer({ signer, gateway, limitsEnforced: config.RESOURCE_LIMITS_ENABLED }),
    ...(config.MAX_VARIABLES > 0 && {
      variables: {
        store: database.store.variables,
        quota: { maxCount: config.MAX_VARIABLES, maxBytes: config.MAX_VARIABLES_BYTES },
        timeoutMs: VARIABLE_TIMEOUT_MS,
        onError: (error) => log.error({ err: error }, 'a variable could not be served'),
      },
    }),
    options: executionOptions(config),
  });
}

function executionOptions(config: Config): ExecutionOptions {
  return {
    queueTimeoutMs: config.QUEUE_TIMEOUT_MS,
    pids: config.MAX_PIDS,
    tmpBytes: config.TMP_BYTES,
    runBytes: config.RUN_BYTES,
    tiers: config.TIERS,
    callLimits: {
      logBytes: config.MAX_LOG_BYTES,
      responseBytes: config.MAX_RESPONSE_BYTES,
      streamBytes: config.MAX_STREAM_BYTES,
      calls: MAX_VARIABLE_CALLS,
    },
  };
}
