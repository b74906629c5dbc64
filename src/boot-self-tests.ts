import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from './core/clock.ts';
import { RUNTIMES } from './core/event.ts';
import type { Pools } from './core/pools.ts';
import type { SandboxBackend } from './core/sandbox.ts';
import { brokenPromises } from './core/self-test.ts';
import { SelfTests } from './core/self-tests.ts';
import { GatewayError } from './errors.ts';
import type { Log } from './logger.ts';
import { selfTest } from './sandbox/self-test/self-test.ts';

export interface BootSelfTestsOptions {
  /** Not the one that counts boots: what it boots here is no pool's. */
  backend: SandboxBackend;
  pools: Pools;
  limitsEnabled: boolean;
  log: Log;
}

/** A host on which not all pools fill up is tested all the same, ms. */
const LONGEST_WAIT_MS = 5_000;
const POLL_MS = 20;
const RETRY_AFTER_SECONDS = 30;

/**
 * Tests the sandboxes of every runtime while the gateway serves, once its pools are warm; at level `paranoid` nobody is served
 * before. Who fails serves nobody until a later test passes.
 */
export function beginSelfTests({ backend, pools, limitsEnabled, log }: BootSelfTestsOptions): SelfTests {
  const tests: SelfTests = new SelfTests({
    runtimes: RUNTIMES,
    clock: systemClock,
    examine: (runtime, signal) => {
      const create: SandboxBackend['create'] = (spec, until) =>
        pools.bootApart(() => backend.create(spec, until), until);
      const { isolation, kernel, level } = backend;
      return selfTest({ isolation, kernel, level, create }, runtime, limitsEnabled, signal);
    },
    onVerdict: (runtime, found) => {
      if (found.status === 'passed') {
        log.info({ runtime }, 'the self-test passed');
        pools.admit(runtime);
        return;
      }
      log.error({ runtime, checks: found.checks }, brokenPromises(runtime, found));
      const message = `The ${runtime} sandboxes of this gateway failed their self-test, and nothing is run in them; /readyz tells its operator why.`;
      pools.suspend(
        runtime,
        new GatewayError('isolation_unavailable', message, { retryAfterSeconds: RETRY_AFTER_SECONDS }),
      );
    },
    onTrouble: (runtime, error) =>
      log.warn({ runtime, err: error }, 'the self-test could not be carried out; trying again'),
  });
  pools.onDisturbance((runtime) => tests.repeat(runtime));
  if (backend.level === 'paranoid') {
    for (const runtime of RUNTIMES) pools.hold(runtime);
    tests.start();
  } else {
    startWhenWarm(tests, pools);
  }
  return tests;
}

async function startWhenWarm(tests: SelfTests, pools: Pools): Promise<void> {
  const latest = performance.now() + LONGEST_WAIT_MS;
  do {
    await sleep(POLL_MS, undefined, { ref: false });
  } while (pools.unready().length > 0 && performance.now() < latest);
  tests.start();
}
