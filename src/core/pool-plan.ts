/** How large a pool is to be. */
export interface PoolTargets {
  /** Ready sandboxes that are kept when nothing is called. */
  min: number;
  /** Ready sandboxes that are kept while the pool is in use. */
  target: number;
  /** Sandboxes in all states together. */
  max: number;
  /** Not called for so long, the pool shrinks to `min`, ms. */
  idleMs: number;
  /** A ready sandbox is replaced at this age, ms. */
  maxAgeMs: number;
}

/** A pool as the planner sees it; times are of the pool's clock, in ms. */
export interface PoolView {
  ready: readonly { id: string; readyAt: number }[];
  starting: number;
  taken: number;
  /** Callers that wait for whichever sandbox comes next. */
  waiters: number;
  lastDemandAt: number | null;
  /** Sandboxes that may begin to boot now: what the engine is spared from, shared by all pools. */
  bootsAllowed: number;
  /** After a failed boot, when to try again. */
  notBefore: number;
}

export interface PoolActions {
  start: number;
  retire: string[];
  /** When time alone will change the plan; `null` when only an event can. */
  nextAt: number | null;
}

/** Decides what a pool does next. Pure: it takes what is and returns what to do. */
export function planPool(view: PoolView, targets: PoolTargets, now: number): PoolActions {
  const idleAt = view.lastDemandAt === null ? null : view.lastDemandAt + targets.idleMs;
  const inUse = idleAt !== null && now < idleAt;
  const wanted = inUse ? targets.target : targets.min;

  const oldestFirst = [...view.ready].sort((a, b) => a.readyAt - b.readyAt);
  const aged = oldestFirst.filter((slot) => now - slot.readyAt >= targets.maxAgeMs);
  const fresh = oldestFirst.slice(aged.length);
  const surplus = fresh.slice(0, Math.max(0, fresh.length - Math.max(wanted, view.waiters)));
  const kept = fresh.slice(surplus.length);
  const retire = [...aged, ...surplus].map((slot) => slot.id);

  const missing = view.waiters + wanted - kept.length - view.starting;
  const room = targets.max - (view.ready.length + view.starting + view.taken);
  const mayStart = now >= view.notBefore;
  const start = mayStart ? Math.max(0, Math.min(missing, room, view.bootsAllowed)) : 0;

  const changes: number[] = [];
  const oldestKept = kept[0];
  if (oldestKept !== undefined) changes.push(oldestKept.readyAt + targets.maxAgeMs);
  if (inUse && kept.length + view.starting > targets.min) changes.push(idleAt);
  if (missing > 0 && !mayStart) changes.push(view.notBefore);
  return { start, retire, nextAt: changes.length === 0 ? null : Math.min(...changes) };
}

const FIRST_RETRY_MS = 200;
/** An engine that is back is to be found soon, and one that is away is not hurt by being asked. */
const LAST_RETRY_MS = 5_000;

/** How long to leave an engine alone after so many failed boots in a row, ms. `random` is in [0, 1): jitter, so that pools do not retry in step. */
export function bootBackoffMs(failures: number, random: number): number {
  const ceiling = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 20));
  return ceiling / 2 + (ceiling / 2) * random;
}
