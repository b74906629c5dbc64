import { readFileSync } from 'node:fs';

const MEMINFO = '/proc/meminfo';
const KEPT_MS = 200;

/**
 * Tells whether less memory is available on this host than must stay free. Where the kernel does not say (not Linux), never.
 * Sandboxes on another host's engine are not covered: that host's memory is not seen from here.
 */
export function memoryWatch(
  minFreeBytes: number,
  now: () => number = () => performance.now(),
): () => boolean {
  let askedAt = Number.NEGATIVE_INFINITY;
  let short = false;
  return () => {
    if (now() - askedAt < KEPT_MS) return short;
    askedAt = now();
    short = availableBytes() < minFreeBytes;
    return short;
  };
}

function availableBytes(): number {
  try {
    return (
      Number(/^MemAvailable:\s+(\d+) kB/m.exec(readFileSync(MEMINFO, 'utf8'))?.[1] ?? Number.NaN) * 1_024
    );
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
