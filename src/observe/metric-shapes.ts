import type { PoolStatus } from '../core/pool.ts';

/** Upper bounds in seconds, from the 0.1 ms of a turn to the minutes of a function. */
export const BUCKETS = [
  0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
  300,
];

/** Pools beyond so many are counted together: each size of sandbox that anybody deploys has a pool of its own. */
const MAX_POOLS = 50;

const COUNTS = [
  'target',
  'starting',
  'ready',
  'taken',
  'waiting',
  'warmStarts',
  'coldStarts',
  'bootFailures',
] as const;

export type PoolSample = { pool: string } & Record<(typeof COUNTS)[number], number>;

/** The pools as they are counted, in the order in which they were made, the last as `other`. */
export function poolSamples(pools: PoolStatus[]): PoolSample[] {
  const samples = pools.slice(0, MAX_POOLS).map((status) => ({ ...status, pool: status.key }));
  const rest = pools.slice(MAX_POOLS);
  if (rest.length === 0) return samples;
  const sums = COUNTS.map((name) => [name, rest.reduce((sum, status) => sum + status[name], 0)] as const);
  return [...samples, { pool: 'other', ...Object.fromEntries(sums) } as PoolSample];
}
