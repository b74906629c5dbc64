import type { Counter } from 'prom-client';
import type { WorkerObserver } from '../core/queue/worker.ts';

type MakeCounter = <L extends string>(name: string, help: string, labels: L[]) => Counter<L>;

/** What happens to invocations that nobody waits for, as counters. */
export function queueCounts(counter: MakeCounter): WorkerObserver {
  const claims = counter('durable_claims_total', 'Invocations claimed from the queue', []);
  const ends = counter('durable_ended_total', 'Invocations of the queue that ended', ['status']);
  const retries = counter('durable_retries_total', 'Attempts that are followed by another', ['blame']);
  const fenced = counter(
    'durable_fenced_total',
    'Late results that were refused: another gateway has the invocation',
    [],
  );
  const reclaimed = counter('durable_reclaimed_total', 'Invocations taken back from gateways that died', []);
  return {
    claimed: (count) => claims.inc(count),
    ended: (status) => ends.inc({ status }),
    retried: (failed) => retries.inc({ blame: failed ? 'function' : 'gateway' }),
    fenced: () => fenced.inc(),
    reclaimed: (count) => reclaimed.inc(count),
  };
}
