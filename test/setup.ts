import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll } from 'vitest';
import { childrenOf, isAlive, signalProcess } from '../src/sandbox/process-tree.ts';

const POLL_MS = 50;
const ENDS_BY_ITSELF_MS = 2_000;
/** A gateway finishes what runs and takes its sandboxes away. */
const ENDS_WHEN_ASKED_MS = 10_000;

const children = () => childrenOf(process.pid).filter(isAlive);

/** Asked to end by the test runner, this process would not tell the children that it has. */
if (process.listenerCount('SIGTERM') === 0) process.once('SIGTERM', () => process.exit(143));

/** A test that runs out of time never comes to where it ends what it started: the next file must not find it running. */
afterAll(async () => {
  if (await allEnd(ENDS_BY_ITSELF_MS)) return;
  const left = children().map((pid) => `${pid}: ${commandOf(pid)}`);
  for (const pid of children()) signalProcess(pid, 'SIGTERM');
  if (!(await allEnd(ENDS_WHEN_ASKED_MS))) for (const pid of children()) signalProcess(pid, 'SIGKILL');
  throw new Error(`left running:\n${left.join('\n')}`);
}, 30_000);

async function allEnd(withinMs: number): Promise<boolean> {
  for (const deadline = Date.now() + withinMs; children().length > 0; await sleep(POLL_MS)) {
    if (Date.now() > deadline) return false;
  }
  return true;
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return 'gone by now';
  }
}
