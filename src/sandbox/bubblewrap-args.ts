import type { Runtime } from '../core/event.ts';
import type { SandboxSpec } from '../core/sandbox.ts';
import { MAX_OPEN_FILES } from './hardening.ts';

/** Within its own namespace: outside, every sandbox has a user of its own. */
export const INNER_UID = 1_000;
const SHM_BYTES = 16 * 2 ** 20;
const AGENT_DIR = '/opt/cronium';
const NODE = '/usr/local/bin/node';
/** The first descriptor beyond the standard ones: where bwrap finds the filter. */
const FILTER_FD = 3;

/** What of the host a sandbox sees, read-only. */
export interface HostFiles {
  /** Directories bound as they are: where the host's programs and libraries live. */
  system: readonly string[];
  /** Links at the root of a host with merged /usr, name to target. */
  links: Readonly<Record<string, string>>;
  /** The folder `runtimes/`. */
  agents: string;
  /** The Node.js binary. */
  node: string;
  passwd: string;
  group: string;
  /** Files of /proc that are hidden. */
  masked: readonly string[];
  /** A compiled seccomp filter; `undefined` where there is none for this processor. */
  filter: string | undefined;
}

/** How each runtime's agent is started. The same as in its Dockerfile. */
const AGENT_COMMANDS: Readonly<Record<Runtime, readonly string[]>> = {
  python: [
    '/usr/bin/python3',
    '-I',
    '-B',
    '-X',
    'utf8',
    `${AGENT_DIR}/python/agent.py`,
    '--runtime',
    'python',
  ],
  bash: [
    '/usr/bin/python3',
    '-I',
    '-B',
    '-S',
    '-X',
    'utf8',
    `${AGENT_DIR}/python/agent.py`,
    '--runtime',
    'bash',
  ],
  nodejs: [NODE, `${AGENT_DIR}/nodejs/agent.js`],
};

/** The arguments of bwrap: every namespace its own, an empty root, no capability, and only what the interpreter needs. */
export function bubblewrapArgs(spec: SandboxSpec, host: HostFiles, limitsEnabled: boolean): string[] {
  return [
    ['--unshare-all', '--die-with-parent', '--new-session', '--cap-drop', 'ALL'],
    ['--uid', String(INNER_UID), '--gid', String(INNER_UID), '--hostname', 'sandbox'],
    ['--clearenv', '--setenv', 'PATH', '/usr/local/bin:/usr/bin:/bin', '--setenv', 'HOME', '/tmp'],
    [
      '--setenv',
      'LANG',
      'C.UTF-8',
      '--setenv',
      'CRONIUM_MEMORY_MB',
      String(Math.round(spec.memoryBytes / 2 ** 20)),
    ],
    host.system.flatMap((path) => ['--ro-bind', path, path]),
    Object.entries(host.links).flatMap(([path, target]) => ['--symlink', target, path]),
    // The cache and not the configuration: without it every library is searched for at each start.
    [
      '--ro-bind-try',
      '/etc/ld.so.cache',
      '/etc/ld.so.cache',
      '--ro-bind-try',
      '/etc/alternatives',
      '/etc/alternatives',
    ],
    ['--ro-bind', host.passwd, '/etc/passwd', '--ro-bind', host.group, '/etc/group'],
    ['--ro-bind', host.agents, AGENT_DIR],
    spec.runtime === 'nodejs' ? ['--ro-bind', host.node, NODE] : [],
    ['--proc', '/proc', '--dev', '/dev'],
    host.masked.flatMap((path) => ['--ro-bind', '/dev/null', path]),
    tmpfs('/dev/shm', SHM_BYTES),
    tmpfs('/tmp', spec.tmpBytes),
    tmpfs('/run', spec.runBytes),
    // Both are memory without a bound as long as they can be written to.
    ['--remount-ro', '/dev', '--remount-ro', '/'],
    host.filter === undefined ? [] : ['--seccomp', String(FILTER_FD)],
    ['--chdir', '/tmp', '--'],
    ['/usr/bin/prlimit', '--core=0', `--nofile=${MAX_OPEN_FILES}`],
    limitsEnabled ? [`--nproc=${spec.pids}`] : [],
    ['--', ...AGENT_COMMANDS[spec.runtime]],
  ].flat();
}

function tmpfs(path: string, bytes: number): string[] {
  return ['--perms', '1777', '--size', String(bytes), '--tmpfs', path];
}

/** Joins control groups, then becomes the command: before the first process of the sandbox exists. */
const JOIN_AND_EXEC =
  'while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs" || exit 125; shift; done; shift; exec "$@"';

/**
 * The command that runs a command in control groups and as a user that owns nothing.
 * @param uid `undefined` keeps the present one
 */
export function confined(
  command: readonly string[],
  uid: number | undefined,
  cgroupDirectories: readonly string[],
): string[] {
  const dropped =
    uid === undefined
      ? command
      : ['/usr/bin/setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--', ...command];
  if (cgroupDirectories.length === 0) return [...dropped];
  return ['/bin/sh', '-c', JOIN_AND_EXEC, 'sh', ...cgroupDirectories, '--', ...dropped];
}
