import type { AuditTrail } from '../audit/trail.ts';
import type { Admission } from '../core/admission.ts';
import type { Pools } from '../core/pools.ts';
import type { SandboxBackend } from '../core/sandbox.ts';
import type { SelfTests } from '../core/self-tests.ts';
import { messageOf } from '../errors.ts';
import type { Readiness } from '../http/context.ts';
import { atMostEvery } from '../observe/at-most-every.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Database } from './database.ts';

/** Counting what waits takes the database milliseconds, ms. */
const QUEUE_COUNT_MS = 5_000;

export interface Watched {
  pools: Pools;
  audit: AuditTrail | undefined;
  database: Pick<Database, 'store' | 'recorder'>;
}

/** Lets the metrics tell of the parts that have numbers of their own. */
export function watch(
  metrics: Metrics,
  parts: Watched & { admission: Admission; backend: SandboxBackend },
): void {
  const { pools, audit, database, admission, backend } = parts;
  metrics.watch({
    pools: () => pools.status(),
    admission: () => admission,
    recorder: () => database.recorder,
    grade: backend,
    queue: atMostEvery(QUEUE_COUNT_MS, () => database.store.queue.depth()),
    ...(audit && { audit: () => audit }),
  });
}

/** What the gateway still lacks to serve. */
export async function readinessOf(parts: Watched & { selfTests: SelfTests }): Promise<Readiness> {
  const { pools, selfTests, audit, database } = parts;
  const reasons = [...pools.unready(), ...selfTests.failures()];
  await database.store.ping().catch((error) => reasons.push(`database: ${messageOf(error)}`));
  if (audit?.trouble !== undefined) reasons.push(`audit log: ${audit.trouble}`);
  return { ok: reasons.length === 0, reasons };
}
