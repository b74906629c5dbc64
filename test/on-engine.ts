import { type Engine, type EngineName, findEngine } from './engines.ts';
import { suiteWhere } from './suite-where.ts';

/** Runs a suite on one way of isolating; see {@link suiteWhere} for a machine that does not have it. */
export async function onEngine(name: EngineName, suite: (engine: Engine) => void): Promise<void> {
  const engine = await findEngine(name);
  suiteWhere(name, engine.unavailable, () => suite(engine));
}
