import type { Kernel, SecurityLevel } from '../../core/isolation.ts';

/** What look.py and look.js find out, by their names for it, and `memory`, which ends their sandbox. */
export const CHECK_IDS = [
  'network',
  'metadata',
  'bridge',
  'writes',
  'mount',
  'bpf',
  'ptrace',
  'user_namespace',
  'privileges',
  'others',
  'engine',
  'seccomp',
  'files',
  'tmp',
  'processes',
  'memory',
] as const;
export type CheckId = (typeof CHECK_IDS)[number];

/** What isolation promises of one thing, and what an operator can do where it does not hold. */
export interface Promised {
  /** In plain words. */
  what: string;
  /** The least level that promises it. */
  from: SecurityLevel;
  /** Only where the sandboxes share the host's kernel: in a kernel of its own it does no harm. */
  ofSharedKernel?: true;
  /** Only where RESOURCE_LIMITS_ENABLED is true. */
  ofLimits?: true;
  remedy: string;
}

const ENGINE_REMEDY =
  'The engine starts containers otherwise than it is asked to: look at its configuration, and at what stands between it and the gateway.';
const FILTER_REMEDY =
  'The kernel must have CONFIG_SECCOMP_FILTER, and an engine must run with its seccomp filter (docker info shows seccomp).';
const LIMITS_REMEDY =
  'The host must have the memory and pids control groups, delegated to the engine; RESOURCE_LIMITS_ENABLED=false goes without limits.';

/** The promises, as data. A sandbox that breaks one that holds at its level is no sandbox of that level. */
export const PROMISES: Readonly<Record<CheckId, Promised>> = {
  network: { what: 'no network', from: 'basic', remedy: ENGINE_REMEDY },
  metadata: { what: "no way to the cloud's metadata service", from: 'basic', remedy: ENGINE_REMEDY },
  bridge: { what: "no way to the engine's bridge and the host on it", from: 'basic', remedy: ENGINE_REMEDY },
  writes: {
    what: 'a read-only file system beside /tmp, /run and /dev/shm',
    from: 'basic',
    remedy: ENGINE_REMEDY,
  },
  mount: { what: 'no mounting', from: 'basic', remedy: ENGINE_REMEDY },
  bpf: {
    what: 'no BPF programs',
    from: 'basic',
    remedy: `sysctl kernel.unprivileged_bpf_disabled=1. ${FILTER_REMEDY}`,
  },
  ptrace: {
    what: 'no tracing of other processes',
    from: 'enhanced',
    ofSharedKernel: true,
    remedy: FILTER_REMEDY,
  },
  user_namespace: {
    what: 'no new user namespaces',
    from: 'enhanced',
    ofSharedKernel: true,
    remedy: FILTER_REMEDY,
  },
  privileges: {
    what: 'an unprivileged user, without capabilities and a way to gain any',
    from: 'basic',
    remedy: ENGINE_REMEDY,
  },
  others: {
    what: "nothing of the gateway's environment and processes in sight",
    from: 'basic',
    remedy: ENGINE_REMEDY,
  },
  engine: { what: "no way to the engine's socket", from: 'basic', remedy: ENGINE_REMEDY },
  seccomp: { what: 'filtered system calls', from: 'enhanced', ofSharedKernel: true, remedy: FILTER_REMEDY },
  files: { what: 'a limit on open files', from: 'basic', remedy: ENGINE_REMEDY },
  tmp: { what: 'a limit on /tmp', from: 'basic', remedy: ENGINE_REMEDY },
  processes: {
    what: 'a limit on processes',
    from: 'basic',
    ofLimits: true,
    remedy: LIMITS_REMEDY,
  },
  memory: { what: 'a limit on memory', from: 'basic', ofLimits: true, remedy: LIMITS_REMEDY },
};

/** What of a sandbox decides which promises it is held to. */
export interface Rung {
  level: SecurityLevel;
  kernel: Kernel;
  limitsEnabled: boolean;
}
