/** Times of one kind, ms. */
export interface Summary {
  n: number;
  p50: number;
  p95: number;
  p99: number;
  max: number;
}

export function summarize(timesMs: readonly number[]): Summary {
  const sorted = timesMs.toSorted((a, b) => a - b);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { n: sorted.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: sorted.at(-1) ?? Number.NaN };
}

/** Times one thing over and over, with a pause in between so that refills do not fall into the next measurement. */
export async function timeEach(
  times: number,
  pauseMs: number,
  once: (i: number) => Promise<number>,
): Promise<Summary> {
  const taken: number[] = [];
  for (let i = 0; i < times; i++) {
    taken.push(await once(i));
    await pause(pauseMs);
  }
  return summarize(taken);
}

/** Runs `workers` loops side by side for so long; resolves to how many rounds were done a second. */
export async function roundsPerSecond(
  workers: number,
  durationMs: number,
  round: (worker: number) => Promise<void>,
): Promise<number> {
  const beganAt = performance.now();
  let rounds = 0;
  const loop = async (worker: number) => {
    while (performance.now() - beganAt < durationMs) {
      await round(worker);
      rounds += 1;
    }
  };
  await Promise.all(Array.from({ length: workers }, (_, worker) => loop(worker)));
  return (rounds * 1_000) / (performance.now() - beganAt);
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const beganAt = performance.now();
  await work();
  return performance.now() - beganAt;
}
