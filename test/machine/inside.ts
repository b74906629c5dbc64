// Runs in the virtual machine of .ci/machine, without a test runner, which would take longer there than all of this: does what
// machine.test.ts asks about, in this order, and writes what came of each step into the file that is named.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { messageOf } from '../../src/errors.ts';
import { IsolationRefused } from '../../src/sandbox/refused.ts';
import { alone } from './alone.ts';
import { boundByControlGroups } from './control-groups.ts';
import { attacked, confined, demanded, paranoid } from './sandboxes.ts';

/** What came of a step: what it saw, or why it could not. */
export interface Found {
  seconds: number;
  seen?: unknown;
  error?: { message: string; remedy?: string | undefined };
}

const [, , file] = process.argv;
const found: Record<string, Found> = {};

async function step(name: string, look: () => unknown): Promise<void> {
  const begin = performance.now();
  const since = () => Math.round((performance.now() - begin) / 100) / 10;
  try {
    found[name] = { seen: await look(), seconds: since() };
  } catch (error) {
    const remedy = error instanceof IsolationRefused ? error.remedy : undefined;
    found[name] = { error: { message: messageOf(error), remedy }, seconds: since() };
  }
  console.log(`${name}: ${found[name].error?.message ?? 'done'}, ${found[name].seconds} s`);
  writeFileSync(file!, JSON.stringify(found));
}

const start = (engine: string) => execFileSync('.ci/engines', ['start', engine], { stdio: 'inherit' });

await step('bubblewrap in a service', boundByControlGroups);

await step('docker: start', () => start('docker'));
await step('docker, not loaded', () => confined('docker'));
await step('docker, not loaded and demanded', () => demanded('docker', 'cronium-sandbox'));
await step('remedy', () => pasteRemedy(found['docker, not loaded']!));
await step('docker, loaded', attacked);
await step('docker, demanded at basic', () => demanded('docker', 'cronium-sandbox'));
await step('docker: the profile alone', alone);
await step('gvisor at paranoid', paranoid);

await step('podman: start', () => start('podman'));
await step('podman, loaded', () => confined('podman'));
await step('podman, not loaded and demanded', () => demanded('podman', 'no-such-profile'));
await step('podman, demanded at basic', () => demanded('podman', 'cronium-sandbox'));

/** As an operator would, from the folder of the checkout. */
function pasteRemedy({ seen }: Found): string {
  const [, command] = /on the engine's host: (.+?), and start again/.exec(JSON.stringify(seen))!;
  execFileSync('/bin/sh', ['-c', command!], { stdio: 'pipe' });
  return command!;
}
