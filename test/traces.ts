import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, signalProcess } from '../src/sandbox/process-tree.ts';
import type { Traces } from './engines.ts';

const CGROUP_ROOTS = ['/sys/fs/cgroup', '/sys/fs/cgroup/memory', '/sys/fs/cgroup/pids', '/sys/fs/cgroup/cpu'];

/** What there is of a gateway on bubblewrap: its staged files' path is in the mounts of all that runs in its sandboxes. */
export function tracesOfBubblewrap(instanceId: string): Traces {
  const mark = `cronium-${instanceId}`;
  const groups = cgroupsOf(mark);
  return {
    sandboxes: [
      ...pidsWith(mark).map((pid) => `process ${pid}: ${commandOf(pid)}`),
      ...groups.flatMap((path) => directoriesIn(path).map((name) => `control group ${join(path, name)}`)),
    ],
    gateway: [
      ...groups.map((path) => `control group ${path}`),
      ...readdirSync(tmpdir())
        .filter((name) => name.startsWith(mark))
        .map((name) => `directory ${join(tmpdir(), name)}`),
    ],
  };
}

/** Kills the supervisors of all sandboxes of a gateway, and resolves when they and their insides, which must follow, are dead. */
export async function killBubblewrap(instanceId: string): Promise<void> {
  const killed = pids().filter((pid) => commandOf(pid).includes(`cronium-${instanceId}-`));
  for (const pid of killed) signalProcess(pid, 'SIGKILL');
  await eventuallyNone(() => killed.filter(isAlive).map(String));
}

/** Processes of the host whose arguments or environment have the text in them. */
export function processesBearing(text: string): string[] {
  return pids()
    .filter((pid) => pid !== process.pid)
    .filter((pid) => commandOf(pid).includes(text) || read(`/proc/${pid}/environ`).includes(text))
    .map((pid) => `process ${pid}: ${commandOf(pid)}`);
}

/** Waits until nothing is left, and returns what is left when it has waited for long. */
export async function eventuallyNone(look: () => string[] | Promise<string[]>): Promise<string[]> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const left = await look();
    if (left.length === 0 || Date.now() > deadline) return left;
    await sleep(20);
  }
}

function pidsWith(mark: string): number[] {
  // A list of mounts is long, and all processes of a mount namespace have the same.
  const marked = new Map<string, boolean>();
  const mountsBear = (pid: number): boolean => {
    const namespace = mountNamespaceOf(pid);
    const known = marked.get(namespace);
    if (known !== undefined) return known;
    const bears = read(`/proc/${pid}/mountinfo`).includes(mark);
    if (namespace !== '') marked.set(namespace, bears);
    return bears;
  };
  return pids().filter((pid) => commandOf(pid).includes(mark) || mountsBear(pid));
}

function pids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function commandOf(pid: number): string {
  return read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ');
}

/** Empty when it has ended. */
function mountNamespaceOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return '';
  }
}

function cgroupsOf(mark: string): string[] {
  const own = read('/proc/self/cgroup')
    .split('\n')
    .map((line) => line.split(':')[2] ?? '');
  const bases = CGROUP_ROOTS.flatMap((root) => ['', ...own].map((path) => join(root, path)));
  return [...new Set(bases.map((base) => join(base, mark)))].filter((path) => existsSync(path));
}

function directoriesIn(path: string): string[] {
  const entries = readdirSync(path, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
