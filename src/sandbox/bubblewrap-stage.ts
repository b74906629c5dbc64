import { execFile } from 'node:child_process';
import {
  chmod,
  cp,
  link,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readlink,
  realpath,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { SecurityLevel } from '../core/isolation.ts';
import { type HostFiles, INNER_UID } from './bubblewrap-args.ts';
import { maskedPaths } from './hardening.ts';
import { compileFilter, encodeFilter, FILTERED_ARCHITECTURES } from './seccomp/bpf.ts';
import { seccompProfile } from './seccomp/profile.ts';

const SYSTEM_DIRECTORIES = ['/usr/bin', '/usr/lib', '/usr/lib32', '/usr/lib64'];
const ROOT_DIRECTORIES = ['/bin', '/lib', '/lib32', '/lib64'];
const OTHERS_MAY_READ_AND_ENTER = 0o005;

export interface StageOptions {
  instanceId: string;
  runtimesDir: string;
  node: string;
  level: SecurityLevel;
}

/**
 * A directory with the files that sandboxes see and the host does not have in a place that every user can read: the agents, a
 * passwd that knows one user, and Node.js where it lies under somebody's home.
 */
export class Stage {
  readonly files: HostFiles;
  readonly directory: string;

  private constructor(directory: string, files: HostFiles) {
    this.directory = directory;
    this.files = files;
  }

  static async create(options: StageOptions): Promise<Stage> {
    const directory = await mkdtemp(Stage.prefixOf(options.instanceId));
    try {
      return new Stage(directory, await fill(directory, options));
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** Removes what an earlier run of this gateway staged. */
  static async sweep(instanceId: string): Promise<number> {
    const prefix = Stage.prefixOf(instanceId);
    const paths = (await readdir(tmpdir())).map((name) => join(tmpdir(), name));
    const left = paths.filter((path) => path.startsWith(prefix));
    for (const path of left) await rm(path, { recursive: true, force: true });
    return left.length;
  }

  /** What the paths of all that a gateway stages begin with. */
  static prefixOf(instanceId: string): string {
    return join(tmpdir(), `cronium-${instanceId}-`);
  }

  async remove(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}

async function fill(directory: string, options: StageOptions): Promise<HostFiles> {
  const agents = join(directory, 'runtimes');
  const passwd = join(directory, 'passwd');
  const group = join(directory, 'group');
  await chmod(directory, 0o755);
  await mkdir(agents);
  await cp(options.runtimesDir, agents, {
    recursive: true,
    filter: (source) => !source.includes('__pycache__'),
  });
  await writeFile(passwd, `sandbox:x:${INNER_UID}:${INNER_UID}::/tmp:/usr/bin/bash\n`);
  await writeFile(group, `sandbox:x:${INNER_UID}:\n`);
  const filter = await stageFilter(directory, options.level);
  // Sandboxes cannot keep what they compile, so each would compile the agent anew.
  await promisify(execFile)('/usr/bin/python3', [
    '-m',
    'compileall',
    '-q',
    '--invalidation-mode',
    'unchecked-hash',
    agents,
  ]);
  await openToAll(directory);
  const node = await readableByAll(await realpath(options.node), join(directory, 'node'));
  const masked = await filesAmong(maskedPaths(options.level) ?? []);
  const system = await systemFiles();
  return { ...system, agents, node, passwd, group, masked, filter };
}

async function stageFilter(directory: string, level: SecurityLevel): Promise<string | undefined> {
  const architecture = FILTERED_ARCHITECTURES.find((known) => known === process.arch);
  if (architecture === undefined) return undefined;
  const path = join(directory, 'seccomp.bpf');
  await writeFile(path, encodeFilter(compileFilter(seccompProfile(level), architecture)));
  return path;
}

/** The sandbox's /proc has the same files as this one; directories hold nothing there that a function may read. */
async function filesAmong(paths: readonly string[]): Promise<string[]> {
  const isFile = (path: string) =>
    stat(path).then(
      (found) => found.isFile(),
      () => false,
    );
  const found = await Promise.all(
    paths.map(async (path) => (path.startsWith('/proc/') && (await isFile(path)) ? [path] : [])),
  );
  return found.flat();
}

async function systemFiles(): Promise<Pick<HostFiles, 'system' | 'links'>> {
  const system: string[] = [];
  const links: Record<string, string> = {};
  for (const path of [...SYSTEM_DIRECTORIES, ...ROOT_DIRECTORIES]) {
    const found = await lstat(path).catch(() => undefined);
    if (found?.isSymbolicLink()) links[path] = await readlink(path);
    else if (found?.isDirectory()) system.push(path);
  }
  return { system, links };
}

/** The path itself when every user can reach it, else a copy that they can. */
async function readableByAll(path: string, copy: string): Promise<string> {
  for (let at = path; at !== dirname(at); at = dirname(at)) {
    const { mode } = await stat(at);
    if ((mode & OTHERS_MAY_READ_AND_ENTER) === OTHERS_MAY_READ_AND_ENTER) continue;
    // A link costs nothing where both are on one file system.
    await link(path, copy).catch(() => cp(path, copy));
    return copy;
  }
  return path;
}

/** A checkout made under a strict umask is not readable by others. */
async function openToAll(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    await chmod(join(entry.parentPath, entry.name), 0o755);
  }
}
