import type { Invocation } from '../invocation.ts';
import type { Claimed } from './queue.ts';
import { type AsyncSettings, backoffMs } from './settings.ts';

/** Failures of the function that another attempt may not have. */
const WORTH_ANOTHER: ReadonlySet<string> = new Set([
  'function_error',
  'out_of_memory',
  'invalid_response',
  'function_timeout',
]);
/** Failures of the function that every attempt will have. */
const HOPELESS: ReadonlySet<string> = new Set(['response_too_large']);
/** An invocation that was running so often when its gateway died is what kills gateways. */
export const MAX_CRASHES = 10;
/** Trouble of the gateway is looked at again soon, and then less and less often, ms. */
const TROUBLE = { backoffMs: 500, maxBackoffMs: 30_000 };

export type Failure = NonNullable<Invocation['error']>;

export type Verdict =
  | { kind: 'succeeded' }
  /** @property failed whether the function is to blame for this attempt */
  | { kind: 'dead'; failed: boolean; reason?: string }
  | { kind: 'retry'; failed: boolean; delayMs: number };

/** What comes of an attempt, by how it ended. The function's own failures are counted, the gateway's troubles only outlast the age. */
export function verdictOn(
  claimed: Pick<Claimed, 'attempt' | 'failures' | 'ageMs'>,
  failure: Failure | null,
  settings: AsyncSettings,
  random: () => number,
): Verdict {
  if (failure === null) return { kind: 'succeeded' };
  if (HOPELESS.has(failure.code)) return { kind: 'dead', failed: true };
  const failed = WORTH_ANOTHER.has(failure.code);
  const failures = claimed.failures + (failed ? 1 : 0);
  if (failed && failures >= settings.attempts) return { kind: 'dead', failed };
  const troubles = claimed.attempt - claimed.failures;
  const delayMs = failed ? backoffMs(settings, failures, random) : backoffMs(TROUBLE, troubles, random);
  if (claimed.ageMs + delayMs <= settings.maxAgeMs) return { kind: 'retry', failed, delayMs };
  return { kind: 'dead', failed, reason: `older than ${settings.maxAgeMs} ms` };
}
