import { v7 as uuidv7 } from 'uuid';
import type { Config } from '../config.ts';
import type { Admission } from '../core/admission.ts';
import { systemClock } from '../core/clock.ts';
import type { Enqueuer } from '../core/enqueue.ts';
import { type Invoker, userKeyOf } from '../core/invoke.ts';
import type { IsolationGrade } from '../core/isolation.ts';
import { demandingEnqueuer } from '../core/isolation-demand.ts';
import { Ends } from '../core/queue/ends.ts';
import { GroupCommit } from '../core/queue/group-commit.ts';
import { outcomeOf } from '../core/queue/outcome.ts';
import type { QueueStore } from '../core/queue/queue.ts';
import { Worker } from '../core/queue/worker.ts';
import { tierOf } from '../core/tiers.ts';
import type { Trigger } from '../core/trigger.ts';
import type { AppDeps } from '../http/context.ts';
import type { Log } from '../logger.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Database } from './database.ts';

/** The queue is told of whatever is put into it; this is for when nobody could tell, ms. */
export const QUEUE_POLL_MS = 5_000;
/** What somebody asks for is counted against their rate; what follows from something else was promised already. */
const COUNTED: ReadonlySet<Trigger> = new Set(['async', 'webhook', 'replay']);

export interface QueueOptions {
  config: Config;
  /** Of this gateway, to name its leases by. */
  instanceId: string;
  log: Log;
  metrics: Metrics;
  database: Pick<Database, 'store' | 'events'>;
  /** What this gateway gives to every function. */
  grade: IsolationGrade;
  admission: Admission;
  invoker: Invoker;
  /** A durable invocation has ended here. */
  onEnded: (id: string) => void;
}

/** Invocations that nobody waits for: what takes them, what runs them, and who hears of their ends. */
export interface Queue {
  enqueuer: Enqueuer;
  worker: Worker;
  ends: Ends;
  /** The stored queue, as those see it who ask for something by HTTP. */
  asked: AppDeps['queue'];
}

/** It takes what is given to it, and runs nothing before its worker is started. */
export function openQueue(parts: AsyncDisposableStack, options: QueueOptions): Queue {
  const { config, database, grade, admission } = options;
  const { store } = database;
  const ends = new Ends(systemClock);
  const worker = createWorker(options, ends);
  store.onQueueChanged((change) => {
    if (change.kind === 'cancelled') worker.cancel(change.id);
    if (change.kind === 'ended') ends.tell(change.id);
    if (change.kind === 'queued') worker.wake();
    if (change.kind === 'unknown') {
      worker.wake();
      ends.tell();
    }
  });
  const group = new GroupCommit({
    queue: store.queue,
    admit: (request) =>
      COUNTED.has(request.trigger)
        ? admission.count(userKeyOf(request), tierOf(config.TIERS, request.caller.tier))
        : Promise.resolve(),
    onEnqueued: () => worker.wake(),
  });
  parts.defer(() => group.idle());
  const enqueuer = demandingEnqueuer(group, grade);
  return { enqueuer, worker, ends, asked: locallyTold(store.queue, worker, ends) };
}

function createWorker(options: QueueOptions, ends: Ends): Worker {
  const { config, instanceId, log, metrics, database, invoker, onEnded } = options;
  const { events, store } = database;
  return new Worker({
    queue: store.queue,
    events,
    invoker,
    resultBytes: config.MAX_RESPONSE_BYTES,
    clock: systemClock,
    random: Math.random,
    lease: `${instanceId}:${uuidv7()}`,
    leaseMs: config.LEASE_MS,
    maxRunning: config.MAX_ASYNC_EXECUTIONS ?? Math.max(1, Math.floor(config.MAX_CONCURRENT_EXECUTIONS / 2)),
    pollMs: QUEUE_POLL_MS,
    outcomeOf: (claimed, attempted, ending) =>
      outcomeOf(claimed, attempted, ending, {
        events,
        newId: () => uuidv7(),
        onDropped: (reason, invocationId) =>
          log.warn({ invocationId }, `a destination is not called: ${reason}`),
      }),
    onEnded: (id) => {
      ends.tell(id);
      onEnded(id);
    },
    onError: (error) => log.warn({ err: error }, 'the queue is held up'),
    observer: metrics.queue,
  });
}

/** Where no other gateway can be told, the database tells this one neither. */
function locallyTold(queue: QueueStore, worker: Worker, ends: Ends): AppDeps['queue'] {
  return {
    async cancel(id) {
      const was = await queue.cancel(id);
      if (was === 'running') worker.cancel(id);
      if (was === 'queued') ends.tell(id);
      return was;
    },
    async redrive(filter) {
      const count = await queue.redrive(filter);
      if (count > 0) worker.wake();
      return count;
    },
    result: (id) => queue.result(id),
  };
}
