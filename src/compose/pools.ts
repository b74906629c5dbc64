import { beginSelfTests } from '../boot-self-tests.ts';
import type { Config } from '../config.ts';
import { systemClock } from '../core/clock.ts';
import { RUNTIMES } from '../core/event.ts';
import { Pools } from '../core/pools.ts';
import type { SandboxBackend } from '../core/sandbox.ts';
import type { SelfTests } from '../core/self-tests.ts';
import type { Log } from '../logger.ts';
import { observeBoots } from '../observe/boots.ts';
import type { Metrics } from '../observe/metrics.ts';
import { memoryWatch } from '../sandbox/host-memory.ts';

export interface PoolsOptions {
  config: Config;
  backend: SandboxBackend;
  log: Log;
  metrics: Metrics;
}

/** The pools, empty as yet, and the tests of what is in them. */
export function openPools(
  parts: AsyncDisposableStack,
  { config, backend, log, metrics }: PoolsOptions,
): { pools: Pools; selfTests: SelfTests } {
  const pools = createPools({ config, backend: observeBoots(backend, metrics), log, metrics });
  const selfTests = beginSelfTests({ backend, pools, limitsEnabled: config.RESOURCE_LIMITS_ENABLED, log });
  // Side by side: each waits for an engine that hangs.
  parts.defer(async () => {
    await Promise.all([pools.close(), selfTests.close()]);
  });
  return { pools, selfTests };
}

/** From now on each runtime has sandboxes warm, of the size of an event that names none. */
export function keepWarm(pools: Pools, config: Config): void {
  const size = {
    memoryBytes: config.DEFAULT_MEMORY_MB * 2 ** 20,
    cpus: config.DEFAULT_CPUS,
    pids: config.MAX_PIDS,
    tmpBytes: config.TMP_BYTES,
    runBytes: config.RUN_BYTES,
  };
  for (const runtime of RUNTIMES) pools.keepWarm({ runtime, ...size });
}

function createPools({ config, backend, log, metrics }: PoolsOptions): Pools {
  return new Pools({
    backend,
    clock: systemClock,
    bootTimeoutMs: config.BOOT_TIMEOUT_MS,
    random: Math.random,
    onEngineError: (pool, error) => {
      metrics.engineFailed('boot');
      log.warn({ pool, err: error }, 'a sandbox did not boot');
    },
    targets: {
      min: config.POOL_MIN,
      target: config.POOL_TARGET,
      max: config.POOL_MAX,
      idleMs: config.POOL_IDLE_MS,
      maxAgeMs: config.POOL_MAX_AGE_MS,
    },
    maxBooting: config.BOOT_CONCURRENCY,
    maxSandboxes: config.MAX_SANDBOXES,
    isMemoryShort: memoryWatch(config.MIN_FREE_MEMORY_MB * 2 ** 20),
  });
}
