import { readdirSync, readFileSync } from 'node:fs';

/** A process and all that descend from it, as far as they can be read now. */
export function processTree(root: number): number[] {
  const pids = [root];
  for (const pid of pids) pids.push(...childrenOf(pid));
  return pids;
}

/** Children by every thread of the process: any thread may have forked. */
export function childrenOf(pid: number): number[] {
  return threadsOf(pid).flatMap((thread) => {
    const text = read(`/proc/${pid}/task/${thread}/children`) ?? '';
    return text.split(' ').filter(Boolean).map(Number);
  });
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/**
 * Resident memory, bytes; pages that several share are counted for each. Not from `statm`, which counts in pages: nothing here tells
 * how large those are, and on arm64 they may be 64 KiB.
 * @param proc where the kernel tells of processes
 */
export function residentBytes(pids: readonly number[], proc = '/proc'): number {
  return sum(pids, (pid) => kibibytes('VmRSS', read(`${proc}/${pid}/status`)));
}

/** Proportional memory, bytes: shared pages are divided among those who share them. Exact, and dearer to ask for. */
export function proportionalBytes(pids: readonly number[]): number {
  return sum(pids, (pid) => kibibytes('Pss', read(`/proc/${pid}/smaps_rollup`)));
}

/** A field of one of the kernel's lists, bytes; what has ended has none. */
function kibibytes(field: string, text = ''): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1_024;
}

/** Whether it still runs. A zombie does not: only its parent has not asked for its status yet. */
export function isAlive(pid: number): boolean {
  const state = statOf(pid)?.[0];
  return state !== undefined && state !== 'Z';
}

/** `undefined` when the process is gone. */
export function parentOf(pid: number): number | undefined {
  const parent = statOf(pid)?.[1];
  return parent === undefined ? undefined : Number(parent);
}

/** State, parent and so on, from the third field on: the name before them is in parentheses and may hold anything. */
function statOf(pid: number): string[] | undefined {
  const stat = read(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** Processes of this host that run the program with the argument among theirs. */
export function processesRunning(program: string, matches: (argument: string) => boolean): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    const [name, ...args] = (read(`/proc/${pid}/cmdline`) ?? '').split('\0');
    return name === program && args.some(matches);
  });
}

/** Signals a process that may be gone by now. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function sum(pids: readonly number[], bytesOf: (pid: number) => number): number {
  return pids.reduce((total, pid) => total + bytesOf(pid), 0);
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // The process has ended: that is how most of them are found out.
    return undefined;
  }
}
