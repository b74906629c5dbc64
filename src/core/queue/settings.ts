/** Who is told of an end: a URL, or another event of the same owner. */
export type Destination = { url: string; secret?: string | undefined } | { event: string };

/** How an event's invocations run that nobody waits for. */
export interface AsyncSettings {
  /** How often the function may fail before the invocation is dead, the first time included. */
  attempts: number;
  /** Longest pause before the second attempt; it doubles with each further one. */
  backoffMs: number;
  maxBackoffMs: number;
  /** An invocation that is older is not tried again. */
  maxAgeMs: number;
  /** How many run at once, over all gateways; `null` is as many as there is room for. */
  concurrency: number | null;
  onSuccess: Destination | null;
  onFailure: Destination | null;
}

export const ASYNC_DEFAULTS: AsyncSettings = {
  attempts: 3,
  backoffMs: 1_000,
  maxBackoffMs: 300_000,
  maxAgeMs: 21_600_000,
  concurrency: null,
  onSuccess: null,
  onFailure: null,
};

/** The longest back-off that can be set: what is due later than that was written by a clock that is wrong. */
export const LONGEST_BACKOFF_MS = 3_600_000;

export function asyncOf({ async }: { async?: Partial<AsyncSettings> | undefined }): AsyncSettings {
  return { ...ASYNC_DEFAULTS, ...async };
}

/** "Full jitter": anything up to the exponential bound, so that what failed together is not tried again together. */
export function backoffMs(
  { backoffMs, maxBackoffMs }: Pick<AsyncSettings, 'backoffMs' | 'maxBackoffMs'>,
  failures: number,
  random: () => number,
): number {
  return Math.round(random() * Math.min(maxBackoffMs, backoffMs * 2 ** Math.max(0, failures - 1)));
}
