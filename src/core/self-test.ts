import type { Runtime } from './event.ts';

/** One thing that a sandbox must keep from whoever is in it, as it was found to be. */
export interface Check {
  /** Stable, for programs: `network`, `memory`. */
  id: string;
  /** In plain words, for people. */
  what: string;
  /** `null` where it could not be tried. */
  holds: boolean | null;
  /** Whether the isolation promises it at its level. What it does not promise is tried and told all the same. */
  promised: boolean;
  seen: string;
  remedy?: string;
}

export const SELF_TEST_STATUSES = ['running', 'passed', 'failed'] as const;
export type SelfTestStatus = (typeof SELF_TEST_STATUSES)[number];

/** What is known of the sandboxes of one runtime. Pools of one runtime differ in size alone, and share it. */
export interface SelfTest {
  /** `running` until the first has ended; a repetition leaves what the last one found. */
  status: SelfTestStatus;
  /** When the last one ended. */
  at: Date | null;
  checks: readonly Check[];
  /** Why it could not be carried out lately; `null` once it was. */
  trouble: string | null;
}

/** Promised, and found not to hold. */
export function broken(checks: readonly Check[]): Check[] {
  return checks.filter(({ promised, holds }) => promised && holds === false);
}

/** One line for operators: what does not hold in the sandboxes of a runtime, and what was seen. */
export function brokenPromises(runtime: Runtime, { checks }: Pick<SelfTest, 'checks'>): string {
  const found = broken(checks).map(({ what, seen }) => `${what} (${seen})`);
  return `${runtime}: the self-test failed, so that nobody is served: ${found.join('; ')}`;
}
