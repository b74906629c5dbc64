import type { ContainerCreateOptions } from 'dockerode';
import type { Runtime } from '../core/event.ts';
import { isAtLeast, type SecurityLevel } from '../core/isolation.ts';
import type { SandboxSpec } from '../core/sandbox.ts';
import { SANDBOX_GID } from './uids.ts';

export const MAX_OPEN_FILES = 1_024;
const SHM_BYTES = 16 * 2 ** 20;

/** What engines hide by default, and what else of /proc and /sys tells of the host and is of no use to a function. */
const MASKED_BY_DEFAULT = [
  ...[
    'asound',
    'acpi',
    'kcore',
    'keys',
    'latency_stats',
    'timer_list',
    'timer_stats',
    'sched_debug',
    'scsi',
  ].map((name) => `/proc/${name}`),
  ...['/sys/firmware', '/sys/devices/virtual/powercap'],
];
const MASKED_FROM_ENHANCED = [
  ...['buddyinfo', 'cmdline', 'config.gz', 'crypto', 'devices', 'diskstats', 'driver', 'interrupts', 'iomem'],
  ...[
    'ioports',
    'kallsyms',
    'key-users',
    'kmsg',
    'locks',
    'modules',
    'pagetypeinfo',
    'partitions',
    'schedstat',
  ],
  ...['slabinfo', 'softirqs', 'swaps', 'vmallocinfo', 'zoneinfo'],
].map((name) => `/proc/${name}`);
const MASKED_OF_SYS = [
  ...['block', 'bus', 'class', 'dev', 'hypervisor', 'kernel', 'module', 'power', 'devices/virtual/dmi'],
].map((name) => `/sys/${name}`);

/** What a sandbox cannot see; `undefined` where that is left to the engine. */
export function maskedPaths(level: SecurityLevel): string[] | undefined {
  if (!isAtLeast(level, 'enhanced')) return undefined;
  return [...MASKED_BY_DEFAULT, ...MASKED_FROM_ENHANCED, ...MASKED_OF_SYS];
}

/** The labels by which a gateway knows its own containers again. */
export const OWNER_LABEL = 'cronium.instance';
export const RUNTIME_LABEL = 'cronium.runtime';

export interface ContainerPlan {
  image: string;
  name: string;
  spec: SandboxSpec;
  /** Who everything in it runs as; the number and not a name, so that no image can give the name another meaning. */
  uid: number;
  instanceId: string;
  limitsEnabled: boolean;
  /** CPUs that the engine has: it refuses a quota above them. */
  engineCpus: number;
  level: SecurityLevel;
  /** A seccomp profile, as JSON, in place of the engine's own. */
  seccomp: string | undefined;
  /** An AppArmor profile in place of the engine's own, by its name. */
  appArmor?: string | undefined;
}

/** The container that a sandbox is: unprivileged, read-only, without network, and with nothing of the host in it. */
export function containerOptions(plan: ContainerPlan): ContainerCreateOptions {
  const { spec, uid, level, seccomp, appArmor } = plan;
  const masked = maskedPaths(level);
  return {
    name: plan.name,
    Image: plan.image,
    User: `${uid}:${SANDBOX_GID}`,
    WorkingDir: '/tmp',
    Labels: { [OWNER_LABEL]: plan.instanceId, [RUNTIME_LABEL]: spec.runtime },
    Tty: false,
    OpenStdin: true,
    StdinOnce: true,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    NetworkDisabled: true,
    HostConfig: {
      NetworkMode: 'none',
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      SecurityOpt: [
        'no-new-privileges',
        ...(seccomp === undefined ? [] : [`seccomp=${seccomp}`]),
        ...(appArmor === undefined ? [] : [`apparmor=${appArmor}`]),
      ],
      ...(masked !== undefined && { MaskedPaths: masked }),
      // A process 1 that reaps: what functions leave behind must not fill the limit on processes.
      Init: true,
      IpcMode: 'private',
      ShmSize: SHM_BYTES,
      Tmpfs: {
        '/tmp': tmpfs(spec.tmpBytes, uid, runsProgramsOfTmp(spec.runtime, level)),
        '/run': tmpfs(spec.runBytes, uid, level === 'basic'),
      },
      // What a function prints comes by the protocol; the engine must not keep a second copy on the host's disk.
      LogConfig: { Type: 'none', Config: {} },
      Ulimits: [
        { Name: 'nofile', Soft: MAX_OPEN_FILES, Hard: MAX_OPEN_FILES },
        { Name: 'core', Soft: 0, Hard: 0 },
      ],
      ...(plan.limitsEnabled && limits(spec, plan.engineCpus)),
    },
  };
}

/** Python and Node.js load native modules from files, which a function can only have unpacked into /tmp. */
function runsProgramsOfTmp(runtime: Runtime, level: SecurityLevel): boolean {
  return level === 'basic' || (level === 'enhanced' && runtime !== 'bash');
}

function tmpfs(bytes: number, uid: number, exec: boolean): string {
  // Its owner by number too: some versions of runc put the mode of the image's own directory in place of the one asked for.
  return `rw,${exec ? 'exec' : 'noexec'},nosuid,nodev,size=${bytes},mode=1777,uid=${uid},gid=${SANDBOX_GID}`;
}

function limits(spec: SandboxSpec, engineCpus: number) {
  return {
    Memory: spec.memoryBytes,
    // The same as Memory: no swap on top.
    MemorySwap: spec.memoryBytes,
    NanoCpus: Math.round(Math.min(spec.cpus, engineCpus) * 1e9),
    PidsLimit: spec.pids,
  };
}
