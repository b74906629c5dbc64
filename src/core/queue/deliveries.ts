import { messageOf } from '../../errors.ts';
import type { Clock } from '../clock.ts';
import type { EventStore } from '../event-store.ts';
import type { Invocation } from '../invocation.ts';
import type { NewDelivery, StoredResult } from './queue.ts';
import { ASYNC_DEFAULTS, asyncOf, backoffMs } from './settings.ts';

/** Something to be told to a URL. */
export interface Delivery extends NewDelivery {
  /** Tries so far, this one included: the fence. */
  attempt: number;
  ageMs: number;
  /** `undefined` when it is kept no longer. */
  invocation: Invocation | undefined;
  result: StoredResult | undefined;
}

export interface DeliveryStore {
  /** Takes up to `want` that are due; who does not come back within `withinMs` leaves them to others. */
  claim(want: number, withinMs: number): Promise<Delivery[]>;
  /** Does nothing when it was taken by another meanwhile. */
  end(delivery: Delivery, status: 'delivered' | 'failed', error: string | null): Promise<void>;
  retry(delivery: Delivery, delayMs: number, error: string): Promise<void>;
  nextDueMs(): Promise<number | undefined>;
}

/** Sends one; resolves to the status of the answer, rejects when there was none. */
export type Send = (delivery: Delivery, invocation: Invocation, secret: string) => Promise<number>;

export interface DeliveryDeps {
  store: DeliveryStore;
  send: Send;
  events: Pick<EventStore, 'find'>;
  /** The secret of an event that has set none: `whsec_…`. */
  secretOf: (eventId: string) => string;
  clock: Clock;
  random: () => number;
  pollMs: number;
  onError: (error: unknown) => void;
  onDelivery: (outcome: 'delivered' | 'failed' | 'retried') => void;
}

const AT_ONCE = 8;
/** Longer than a try may take. */
const CLAIM_MS = 60_000;
/** As Standard Webhooks advises: for about a day. */
const ATTEMPTS = 10;
const RETRY = { backoffMs: 5_000, maxBackoffMs: 3_600_000 };
const GONE = 410;

/** Tells URLs of ends, again and again until they have heard. At least once: receivers know a repetition by its `webhook-id`. */
export class Deliveries {
  readonly #deps: DeliveryDeps;
  #working: Promise<void> | undefined;
  #again = false;
  #stopped = false;
  #cancelPoll: (() => void) | undefined;

  constructor(deps: DeliveryDeps) {
    this.#deps = deps;
  }

  /** Something may be due. */
  wake(): void {
    if (this.#stopped) return;
    if (this.#working !== undefined) {
      this.#again = true;
      return;
    }
    this.#cancelPoll?.();
    this.#working = this.#work()
      .catch((error) => {
        this.#deps.onError(error);
        return undefined;
      })
      .then((dueMs) => {
        this.#working = undefined;
        if (this.#stopped) return;
        const delayMs = this.#again ? 0 : Math.min(this.#deps.pollMs, dueMs ?? this.#deps.pollMs);
        this.#again = false;
        this.#cancelPoll = this.#deps.clock.after(Math.ceil(delayMs), () => this.wake());
      });
  }

  /** Takes no more and lets those under way come to their ends. */
  async close(): Promise<void> {
    this.#stopped = true;
    this.#cancelPoll?.();
    await this.#working;
  }

  async #work(): Promise<number | undefined> {
    while (!this.#stopped) {
      const claimed = await this.#deps.store.claim(AT_ONCE, CLAIM_MS);
      if (claimed.length === 0) break;
      await Promise.all(claimed.map((delivery) => this.#deliver(delivery)));
    }
    return this.#deps.store.nextDueMs();
  }

  async #deliver(delivery: Delivery): Promise<void> {
    const { store, send, onDelivery, random } = this.#deps;
    const { invocation } = delivery;
    if (invocation === undefined) return store.end(delivery, 'failed', 'The invocation is kept no longer');
    let error: string;
    try {
      const status = await send(delivery, invocation, await this.#secretFor(delivery, invocation));
      if (status >= 200 && status < 300) {
        onDelivery('delivered');
        return await store.end(delivery, 'delivered', null);
      }
      error = `It answered ${status}`;
      if (status === GONE) {
        onDelivery('failed');
        return await store.end(delivery, 'failed', error);
      }
    } catch (cause) {
      error = messageOf(cause);
    }
    if (delivery.attempt >= ATTEMPTS || delivery.ageMs > 4 * ASYNC_DEFAULTS.maxAgeMs) {
      onDelivery('failed');
      return store.end(delivery, 'failed', error);
    }
    onDelivery('retried');
    // Not less than a second: an endpoint that is down is not to be hammered.
    return store.retry(delivery, 1_000 + backoffMs(RETRY, delivery.attempt, random), error);
  }

  /** The destination's own, if it is still the event's; else the event's. */
  async #secretFor({ kind, url }: Delivery, { eventName, eventId }: Invocation): Promise<string> {
    const event = await this.#deps.events.find(eventName);
    const { onSuccess, onFailure } = asyncOf(event?.id === eventId ? event : {});
    const destination = kind === 'success' ? onSuccess : kind === 'failure' ? onFailure : null;
    const own = destination !== null && 'url' in destination && destination.url === url && destination.secret;
    return own || this.#deps.secretOf(eventId);
  }
}
