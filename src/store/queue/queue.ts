import type { QueueStore } from '../../core/queue/queue.ts';
import type { StoreDialect } from '../dialect.ts';
import type { Database } from '../schema.ts';
import { Claims } from './claims.ts';
import { writeEnd, writeRetry } from './endings.ts';
import { forgetQueued, insertQueued } from './insert.ts';
import { reclaimLeases, releaseClaims, renewLease } from './leases.ts';
import { cancelInvocation, depthOf, findResult, nextDueMs, redriveDead } from './questions.ts';

/** The invocations table as a queue. */
export function createQueueStore(db: Database, dialect: StoreDialect): QueueStore {
  const claims = new Claims(db, dialect);
  return {
    async enqueue(requests) {
      const enqueued = await db.transaction().execute(async (tx) => {
        const taken = await insertQueued(tx, dialect, requests);
        await dialect.tellOfQueue(tx, 'queued');
        return taken;
      });
      try {
        await dialect.durably();
      } catch (error) {
        // Who is told that it was not taken may ask again: it must not run as well.
        const ids = enqueued.filter(({ duplicate }) => !duplicate).map(({ id }) => id);
        await forgetQueued(db, ids).catch(() => {});
        throw error;
      }
      return enqueued;
    },
    claim: (lease, want, leaseMs) => claims.claim(lease, want, leaseMs),
    renew: (lease, leaseMs) => renewLease(db, dialect, lease, leaseMs),
    end: (claim, ending) => writeEnd(db, dialect, claim, ending),
    retry: (claim, retry) => writeRetry(db, dialect, claim, retry),
    release: (held) => releaseClaims(db, held),
    reclaim: (lease) => reclaimLeases(db, dialect, lease),
    nextDueMs: () => nextDueMs(db, dialect),
    depth: () => depthOf(db, dialect),
    cancel: (id) => cancelInvocation(db, dialect, id),
    redrive: (filter) => redriveDead(db, dialect, filter),
    result: (id) => findResult(db, id),
  };
}
