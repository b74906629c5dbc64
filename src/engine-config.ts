import { fileURLToPath } from 'node:url';
import type { Config } from './config.ts';
import type { Runtime } from './core/event.ts';

/** The folder with the agents, beside `src/`. */
export const RUNTIMES_DIR = fileURLToPath(new URL('../runtimes', import.meta.url));

/** What the images of the sandboxes are built on. */
export function baseImages(
  config: Pick<Config, 'PYTHON_BASE_IMAGE' | 'NODE_BASE_IMAGE'>,
): Record<Runtime, string> {
  const { PYTHON_BASE_IMAGE: python, NODE_BASE_IMAGE: nodejs } = config;
  return { python, bash: python, nodejs };
}
