import { GatewayError } from '../../errors.ts';
import type { Caller } from '../caller.ts';
import type { EnqueueRequest, Enqueuer } from '../enqueue.ts';
import type { Event } from '../event.ts';
import type { EventStore } from '../event-store.ts';
import type { Invocation } from '../invocation.ts';
import type { IsolationGrade } from '../isolation.ts';
import { demandIsolation } from '../isolation-demand.ts';
import { type Qualifier, type TargetDeps, withQualifier } from '../target.ts';
import { compareSides, type Side } from './compare.ts';
import type { Replay, ReplayItem, ReplayStore } from './replay.ts';

export interface ReplaysDeps extends TargetDeps {
  events: EventStore;
  store: ReplayStore;
  enqueuer: Enqueuer;
  /** What this gateway gives to every function. */
  grade: IsolationGrade;
  /** Writes what calls left behind that waits to be written. */
  flush: () => Promise<void>;
  /** Something was put into the queue beside the enqueuer. */
  onEnqueued: () => void;
  /** A UUID of version 7. */
  newId: () => string;
  now: () => Date;
}

export interface DifferentialRequest {
  version: number;
  compareTo?: number | undefined;
  /** How many of the latest invocations. */
  last: number;
  ignore: string[];
}

/** Runs kept invocations again. */
export class Replays {
  readonly #deps: ReplaysDeps;

  constructor(deps: ReplaysDeps) {
    this.#deps = deps;
  }

  /**
   * Runs an invocation again, on its own version unless another one is meant.
   * @throws GatewayError `payload_gone`, `not_found`, `isolation_unavailable`, `store_unavailable`
   */
  async again(
    invocation: Invocation,
    event: Event,
    caller: Caller,
    qualifier: Qualifier = { version: String(invocation.eventVersion) },
  ): Promise<{ id: string; event: Event }> {
    const { store, enqueuer, flush, newId } = this.#deps;
    const target = await withQualifier(event, qualifier, this.#deps);
    await flush();
    const kept = await store.payloadOf(invocation.id);
    if (kept === undefined) throw gone(`What ${invocation.id} was called with is not kept any more`);
    const request = replayOf(target, caller, invocation.id, kept.payload, newId());
    const { id } = await enqueuer.enqueue(request);
    return { id, event: target };
  }

  /**
   * Runs the last invocations of an event again on a version, to be compared with what they answered, or with what another version
   * answers now.
   * @throws GatewayError `payload_gone` when there is nothing to run again, `not_found`, `isolation_unavailable`, `store_unavailable`
   */
  async compare(event: Event, caller: Caller, request: DifferentialRequest): Promise<Replay> {
    const { store, flush, newId, now, onEnqueued } = this.#deps;
    const { version, compareTo, last, ignore } = request;
    const on = (number: number) => withQualifier(event, { version: String(number) }, this.#deps);
    const candidate = await on(version);
    const baseline = compareTo === undefined ? undefined : await on(compareTo);
    for (const each of [candidate, baseline]) if (each !== undefined) demandIsolation(each, this.#deps.grade);
    await flush();
    const sources = await store.recent(event, last);
    if (sources.length === 0) throw gone(`There is no kept invocation of ${event.name} to run again`);
    const replay: Replay = {
      id: newId(),
      ownerId: event.ownerId,
      eventName: event.name,
      version,
      compareTo: compareTo ?? null,
      ignore,
      createdAt: now(),
      items: sources.map((sourceId) => ({
        sourceId,
        candidateId: newId(),
        baselineId: baseline === undefined ? null : newId(),
        comparison: null,
      })),
    };
    await store.start(replay, ({ sourceId, candidateId, baselineId }, payload) => [
      replayOf(candidate, caller, sourceId, payload, candidateId),
      ...(baseline === undefined || baselineId === null
        ? []
        : [replayOf(baseline, caller, sourceId, payload, baselineId)]),
    ]);
    onEnqueued();
    return replay;
  }

  /** As it stands; what has ended since it was last asked for is compared now, and kept. `undefined` when the owner has none. */
  async find(ownerId: string, id: string): Promise<Replay | undefined> {
    const replay = await this.#deps.store.find(ownerId, id);
    if (replay === undefined) return undefined;
    const items: ReplayItem[] = [];
    // One after the other: answers may be megabytes.
    for (const item of replay.items) {
      items.push(item.comparison === null ? await this.#compared(replay, item) : item);
    }
    return { ...replay, items };
  }

  async #compared(replay: Replay, item: ReplayItem): Promise<ReplayItem> {
    const { store } = this.#deps;
    const after = await store.side(item.candidateId);
    if (after === 'pending') return item;
    const before = await store.side(item.baselineId ?? item.sourceId);
    if (before === 'pending') return item;
    const comparison = compareSides(
      before === 'gone' ? GONE : before,
      after === 'gone' ? GONE : after,
      replay.ignore,
    );
    await store.saveComparison(replay.id, item.candidateId, comparison);
    return { ...item, comparison };
  }
}

/** An invocation whose record was removed before anybody asked. */
const GONE: Side = {
  invocation: { id: 'not kept', status: 'succeeded', error: null, phases: {} },
  result: undefined,
};

function replayOf(
  event: Event,
  caller: Caller,
  source: string,
  payload: unknown,
  id: string,
): EnqueueRequest {
  return { id, event, caller, trigger: 'replay', payload, replayOf: source };
}

const gone = (message: string) => new GatewayError('payload_gone', message);
