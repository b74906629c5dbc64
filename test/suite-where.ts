import { describe, test } from 'vitest';

/**
 * Runs a suite that needs something of the machine. Where `missing` tells why that is not to be had the suite is skipped, with
 * the reason in its name and on the terminal; in CI, where the machine is made for it, that is a failure.
 */
export function suiteWhere(title: string, missing: string | undefined, suite: () => void): void {
  if (missing === undefined) {
    describe(title, suite);
  } else if (process.env.CI) {
    test(title, () => {
      throw new Error(`cannot run here: ${missing}`);
    });
  } else {
    console.warn(`skipped: ${title}: ${missing}`);
    describe.skip(`${title} (${missing})`, suite);
  }
}
