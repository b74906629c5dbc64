import type { Timing } from '../errors.ts';

const PHASES = ['admit', 'acquire', 'inject', 'exec'] as const;

/** The value of `Server-Timing` (W3C) for these durations in ms; empty when there is none. */
export function serverTiming(timing: Timing): string {
  return PHASES.flatMap((name) => {
    const duration = timing[name];
    return duration === undefined ? [] : [`${name};dur=${Number(duration.toFixed(3))}`];
  }).join(', ');
}
