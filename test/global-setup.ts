import { ENGINE_NAMES, findEngine } from './engines.ts';

/** Prints, once, what this machine cannot run and why, so that a skip is never silent. */
export default async function setup(): Promise<void> {
  for (const name of ENGINE_NAMES) {
    const { unavailable } = await findEngine(name);
    console.log(unavailable === undefined ? `runs: ${name}` : `skips: ${name}: ${unavailable}`);
  }
}
