import type { AliasStore } from './alias.ts';
import type { EventStore } from './event-store.ts';
import type { IdempotencyStore } from './idempotency.ts';
import type { InvocationStore } from './invocation-store.ts';
import type { DeliveryStore } from './queue/deliveries.ts';
import type { QueueChange, QueueStore } from './queue/queue.ts';
import type { ReplayStore } from './replays/replay.ts';
import type { RetentionStore } from './retention.ts';
import type { ScheduleStore } from './schedules/schedule.ts';
import type { VariableStore } from './variables.ts';

/** Everything that is kept in the database, whichever it is. */
export interface Store extends AsyncDisposable {
  readonly events: EventStore;
  readonly aliases: AliasStore;
  readonly invocations: InvocationStore;
  readonly queue: QueueStore;
  readonly deliveries: DeliveryStore;
  readonly idempotency: IdempotencyStore;
  readonly variables: VariableStore;
  readonly retention: RetentionStore;
  readonly schedules: ScheduleStore;
  readonly replays: ReplayStore;
  /**
   * Calls back, for as long as the store is open, whenever an event or its aliases may have been changed through another gateway: with its
   * name, or with `undefined` when any may have been. The own changes may be told too.
   */
  onEventChanged(listener: (name: string | undefined) => void): void;
  /** Calls back, for as long as the store is open, whenever the queue was changed through another gateway, or this one. */
  onQueueChanged(listener: (change: QueueChange) => void): void;
  /** Calls back, for as long as the store is open, whenever schedules may have been changed, here or through another gateway. */
  onSchedulesChanged(listener: () => void): void;
  /** Rejects when the database does not answer. */
  ping(): Promise<void>;
}
