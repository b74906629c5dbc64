import type { Runtime } from '../src/core/event.ts';
import type { SandboxSpec } from '../src/core/sandbox.ts';

/** The least that a function can do, so that what is measured is the way to it. */
export const TRIVIAL: Readonly<Record<Runtime, string>> = {
  python: 'def handler(event, context):\n    return 42\n',
  nodejs: 'exports.handler = async () => 42;\n',
  bash: 'echo 42\n',
};

/** The same without an agent, for the baselines that start an interpreter per request. */
export const INTERPRETER: Readonly<Record<Runtime, readonly string[]>> = {
  python: ['python3', '-c', 'print(42)'],
  nodejs: ['node', '-e', 'console.log(42)'],
  bash: ['bash', '-c', 'echo 42'],
};

/** What the gateway boots by default. */
export function specOf(runtime: Runtime): SandboxSpec {
  return {
    runtime,
    memoryBytes: 512 * 2 ** 20,
    cpus: 0.5,
    pids: 128,
    tmpBytes: 100 * 2 ** 20,
    runBytes: 10 * 2 ** 20,
  };
}
