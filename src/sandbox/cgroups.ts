import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SandboxSpec } from '../core/sandbox.ts';

const PERIOD_US = 100_000;
const REMOVAL_TRIES = 200;
const REMOVAL_PAUSE_MS = 5;
const CONTROLLERS = ['memory', 'pids', 'cpu'] as const;
type Controller = (typeof CONTROLLERS)[number];

/** One control group that bounds everything in a sandbox. */
export interface Cgroup {
  /** Directories whose `cgroup.procs` a process writes `0` into to join. */
  readonly directories: readonly string[];
  ranOutOfMemory(): boolean;
  /** Resolves when it is gone; what still runs in it must have been killed. */
  remove(): Promise<void>;
}

/** The control groups of one gateway, all under a directory that bears its name. */
export interface Cgroups {
  readonly version: 1 | 2;
  create(name: string, spec: SandboxSpec): Cgroup;
  /** Removes groups that an earlier run left. */
  sweep(): Promise<void>;
  /** Removes the gateway's own directory. */
  close(): Promise<void>;
}

/** How the two versions of the kernel's interface say the same thing. */
interface Dialect {
  version: 1 | 2;
  /** Where each controller's groups of this gateway are; the same directory for all in version 2. */
  parents: ReadonlyMap<Controller, string>;
  limits(
    spec: SandboxSpec,
  ): readonly [controller: Controller, file: string, value: string, optional?: boolean][];
  /** The file that counts what the kernel killed for want of memory. */
  oomFile: string;
}

/**
 * The control groups of this host, where this process may make and limit them: found by doing it.
 * `undefined` where it may not; memory and processes must then be watched by other means.
 */
export function detectCgroups(
  name: string,
  root = '/sys/fs/cgroup',
  self = '/proc/self/cgroup',
): Cgroups | undefined {
  const own = ownGroups(self);
  for (const dialect of [...version2(name, root, own), version1(name, root, own)]) {
    if (dialect !== undefined && works(dialect)) return new HostCgroups(dialect);
  }
  return undefined;
}

class HostCgroups implements Cgroups {
  readonly version: 1 | 2;
  readonly #dialect: Dialect;

  constructor(dialect: Dialect) {
    this.#dialect = dialect;
    this.version = dialect.version;
  }

  create(name: string, spec: SandboxSpec): Cgroup {
    return createGroup(this.#dialect, name, spec);
  }

  async sweep(): Promise<void> {
    for (const parent of new Set(this.#dialect.parents.values())) {
      for (const entry of readdirSync(parent, { withFileTypes: true })) {
        if (entry.isDirectory()) await removeDirectory(join(parent, entry.name));
      }
    }
  }

  async close(): Promise<void> {
    await this.sweep();
    for (const parent of new Set(this.#dialect.parents.values())) await removeDirectory(parent);
  }
}

function createGroup(dialect: Dialect, name: string, spec: SandboxSpec): Cgroup {
  const directoryOf = (controller: Controller) => join(dialect.parents.get(controller)!, name);
  const directories = [...new Set(CONTROLLERS.map(directoryOf))];
  const removeAll = () => Promise.all(directories.map(removeDirectory));
  try {
    for (const directory of directories) mkdirSync(directory);
    for (const [controller, file, value, optional] of dialect.limits(spec)) {
      const path = join(directoryOf(controller), file);
      if (optional && !existsSync(path)) continue;
      writeFileSync(path, value);
    }
  } catch (error) {
    // What is wrong is told by the error; that nothing can be removed either must not end the gateway.
    removeAll().catch(() => {});
    throw error;
  }
  return {
    directories,
    ranOutOfMemory: () => oomKills(join(directoryOf('memory'), dialect.oomFile)) > 0,
    remove: async () => {
      await removeAll();
    },
  };
}

/**
 * Below the own group; and else, as engines do it, below the root. The kernel divides no group but the root that has processes,
 * and a service of systemd is in a group of its own.
 */
function version2(name: string, root: string, own: ReadonlyMap<string, string>): Dialect[] {
  if (!existsSync(join(root, 'cgroup.controllers'))) return [];
  const bases = new Set([join(root, own.get('') ?? '/', '.'), join(root, '.')]);
  return [...bases].filter(existsSync).map((base) => below(join(base, name)));
}

function below(parent: string): Dialect {
  return {
    version: 2,
    parents: new Map(CONTROLLERS.map((controller) => [controller, parent])),
    limits: (spec) => [
      ['memory', 'memory.max', String(spec.memoryBytes)],
      ['memory', 'memory.swap.max', '0', true],
      ['pids', 'pids.max', String(spec.pids)],
      ['cpu', 'cpu.max', `${quotaUs(spec)} ${PERIOD_US}`],
    ],
    oomFile: 'memory.events',
  };
}

function version1(name: string, root: string, own: ReadonlyMap<string, string>): Dialect | undefined {
  const parents = new Map<Controller, string>();
  for (const controller of CONTROLLERS) {
    // In a container the mount shows only its own part, and the path of the host does not exist there.
    const mount = join(root, controller);
    const base = [join(mount, own.get(controller) ?? '/'), mount].find((path) => existsSync(path));
    if (base === undefined) return undefined;
    parents.set(controller, join(base, name));
  }
  return {
    version: 1,
    parents,
    limits: (spec) => [
      ['memory', 'memory.limit_in_bytes', String(spec.memoryBytes)],
      ['memory', 'memory.memsw.limit_in_bytes', String(spec.memoryBytes), true],
      ['pids', 'pids.max', String(spec.pids)],
      ['cpu', 'cpu.cfs_period_us', String(PERIOD_US)],
      ['cpu', 'cpu.cfs_quota_us', String(quotaUs(spec))],
    ],
    oomFile: 'memory.oom_control',
  };
}

/** Makes the gateway's directory and one limited group in it, for proof. */
function works(dialect: Dialect): boolean {
  try {
    for (const parent of new Set(dialect.parents.values())) {
      mkdirSync(parent, { recursive: true });
      if (dialect.version === 2) {
        const enable = CONTROLLERS.map((controller) => `+${controller}`).join(' ');
        writeFileSync(join(parent, '..', 'cgroup.subtree_control'), enable);
        writeFileSync(join(parent, 'cgroup.subtree_control'), enable);
      }
    }
    const trial = createGroup(dialect, 'trial', {
      runtime: 'bash',
      memoryBytes: 64 * 2 ** 20,
      cpus: 1,
      pids: 16,
      tmpBytes: 0,
      runBytes: 0,
    });
    for (const directory of trial.directories) rmdirSync(directory);
    return true;
  } catch {
    for (const parent of new Set(dialect.parents.values())) {
      for (const path of [join(parent, 'trial'), parent]) if (existsSync(path)) tryRmdir(path);
    }
    return false;
  }
}

/** Controller to path, from /proc/self/cgroup; version 2 has the empty name. */
function ownGroups(self: string): Map<string, string> {
  const own = new Map<string, string>();
  if (!existsSync(self)) return own;
  for (const line of readFileSync(self, 'utf8').trim().split('\n')) {
    // The path may have colons of its own: container engines put them there.
    const [, controllers = '', path = '/'] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    for (const controller of controllers.split(',')) own.set(controller, path);
  }
  return own;
}

function quotaUs(spec: SandboxSpec): number {
  return Math.max(1_000, Math.round(spec.cpus * PERIOD_US));
}

function oomKills(path: string): number {
  return Number(/^oom_kill (\d+)$/m.exec(readFileSync(path, 'utf8'))?.[1] ?? 0);
}

/**
 * The kernel lets a group go only when its last process has been reaped, a moment after it was killed; and takes milliseconds for it,
 * which must not be the event loop's.
 */
async function removeDirectory(directory: string): Promise<void> {
  for (let tries = 0; tries < REMOVAL_TRIES; tries++) {
    try {
      await rmdir(directory);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    }
    await sleep(REMOVAL_PAUSE_MS);
  }
  throw new Error(`the control group ${directory} still has processes`);
}

function tryRmdir(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // It is another's, or not empty: it was only made to see whether it can be.
  }
}
