import { sender } from '../callbacks/send.ts';
import type { Config } from '../config.ts';
import { systemClock } from '../core/clock.ts';
import { Deliveries } from '../core/queue/deliveries.ts';
import type { Log } from '../logger.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Database } from './database.ts';
import { QUEUE_POLL_MS } from './queue.ts';

export interface DeliveriesOptions {
  config: Config;
  log: Log;
  metrics: Metrics;
  database: Pick<Database, 'store' | 'events'>;
  /** What the callbacks of an event are signed with. */
  secretOf: (eventId: string) => string;
}

/** What tells URLs of ends. */
export function openDeliveries(
  parts: AsyncDisposableStack,
  { config, log, metrics, database, secretOf }: DeliveriesOptions,
): Deliveries {
  const deliveries = new Deliveries({
    store: database.store.deliveries,
    send: sender({ allowPrivate: config.CALLBACK_ALLOW_PRIVATE }),
    events: database.events,
    secretOf,
    clock: systemClock,
    random: Math.random,
    pollMs: QUEUE_POLL_MS,
    onError: (error) => log.warn({ err: error }, 'deliveries are held up'),
    onDelivery: (outcome) => metrics.delivered(outcome),
  });
  parts.defer(() => deliveries.close());
  return deliveries;
}
