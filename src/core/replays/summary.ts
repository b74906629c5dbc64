import type { Change, Comparison } from './compare.ts';

/** What a differential replay comes to. */
export interface ReplaySummary {
  total: number;
  /** Not compared yet. */
  pending: number;
  same: number;
  different: number;
  /** One of the two answers was not kept. */
  unknown: number;
  /** Pairs that differ in it. */
  status: number;
  statusCode: number;
  body: number;
  /** Medians, ms; `null` when there is none. */
  durationMs: Change<number | null>;
  durationRatio: number | null;
}

/** @param comparisons `null` for those that are pending */
export function summaryOf(comparisons: readonly (Comparison | null)[]): ReplaySummary {
  const done = comparisons.filter((each) => each !== null);
  const count = (holds: (each: Comparison) => boolean) => done.filter(holds).length;
  const median = (side: 'before' | 'after') =>
    medianOf(done.flatMap(({ durationMs }) => durationMs[side] ?? []));
  const durationMs = { before: median('before'), after: median('after') };
  return {
    total: comparisons.length,
    pending: comparisons.length - done.length,
    same: count(({ verdict }) => verdict === 'same'),
    different: count(({ verdict }) => verdict === 'different'),
    unknown: count(({ verdict }) => verdict === 'unknown'),
    status: count(({ status }) => status !== undefined),
    statusCode: count(({ statusCode }) => statusCode !== undefined),
    body: count(({ body }) => body !== undefined),
    durationMs,
    durationRatio:
      durationMs.before && durationMs.after !== null ? durationMs.after / durationMs.before : null,
  };
}

function medianOf(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const [low, high] = [sorted[Math.floor(middle)], sorted[Math.ceil(middle)]];
  return low === undefined || high === undefined ? null : (low + high) / 2;
}
