import { describe, test } from 'vitest';
import { type Engine, type EngineName, findEngine } from './engines.ts';

/**
 * Runs a suite on one way of isolating. Where this machine does not have it the suite is skipped, with the reason in its name
 * and on the terminal; in CI, where the machine is made for it, that is a failure.
 */
export async function onEngine(name: EngineName, suite: (engine: Engine) => void): Promise<void> {
  const engine = await findEngine(name);
  const { unavailable } = engine;
  if (unavailable === undefined) {
    describe(name, () => suite(engine));
  } else if (process.env.CI) {
    test(`${name} can be used`, () => {
      throw new Error(`${name} cannot be used here: ${unavailable}`);
    });
  } else {
    console.warn(`skipped: ${name} cannot be used here: ${unavailable}`);
    describe.skip(`${name} (${unavailable})`, () => suite(engine));
  }
}
