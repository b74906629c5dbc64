import { z } from 'zod';
import { tiersSetting } from './tiers.ts';
import { flag, whole } from './values.ts';

/** How many invocations and sandboxes there are at once, and how long each may wait. */
export const executions = {
  MAX_CONCURRENT_EXECUTIONS: whole(1, 10_000).default(10).describe('Invocations that run at once'),
  MAX_ASYNC_EXECUTIONS: whole(0, 10_000)
    .optional()
    .describe('Of those, the most that nobody waits for; half of them when not given'),
  MAX_QUEUED_EXECUTIONS: whole(0, 100_000)
    .default(1_000)
    .describe('Invocations that may wait for their turn'),
  QUEUE_TIMEOUT_MS: whole(1, 600_000).default(10_000).describe('Longest wait for a turn and a sandbox, ms'),
  TIERS: tiersSetting.describe(
    'Tiers by name, as JSON: `concurrency`, `ratePerMinute`, `memoryMb`, `cpus`, `timeoutMs`; `default` is for tokens without one',
  ),
  TIERS_FILE: z.string().min(1).optional().describe('File with the same, instead of TIERS'),
  MIN_FREE_MEMORY_MB: whole(0, 1_048_576)
    .default(256)
    .describe('With less memory available on the host (Linux), no sandbox is booted, MiB'),
  POOL_MIN: whole(0, 1_000)
    .default(1)
    .describe('Sandboxes per runtime that are warm even when nothing is called'),
  POOL_TARGET: whole(0, 1_000).default(3).describe('Warm sandboxes to keep ready while a runtime is in use'),
  POOL_MAX: whole(1, 10_000).default(20).describe('Most sandboxes per pool, warm and running together'),
  POOL_IDLE_MS: whole(100, 86_400_000)
    .default(300_000)
    .describe('A pool not called for so long shrinks to its minimum, ms'),
  POOL_MAX_AGE_MS: whole(100, 86_400_000)
    .default(3_600_000)
    .describe('A warm sandbox is replaced at this age, ms'),
  MAX_SANDBOXES: whole(1, 100_000)
    .default(50)
    .describe('Most sandboxes over all pools, warm and running together'),
  BOOT_CONCURRENCY: whole(1, 100).default(4).describe('Sandboxes that boot at once'),
  BOOT_TIMEOUT_MS: whole(100, 600_000)
    .default(30_000)
    .describe('A sandbox that is not ready by then has failed, ms'),
  LEASE_MS: whole(1_000, 600_000)
    .default(15_000)
    .describe(
      'A gateway that is not heard of for so long is taken for dead, and its queued work goes on elsewhere, ms',
    ),
  CALLBACK_ALLOW_PRIVATE: flag
    .default(false)
    .describe('Let callbacks and destinations reach private, loopback and link-local addresses'),
  SHUTDOWN_GRACE_MS: whole(0, 600_000)
    .default(10_000)
    .describe('How long running invocations may go on after SIGTERM, ms'),
};
