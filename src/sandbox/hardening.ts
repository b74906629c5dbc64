import type { ContainerCreateOptions } from 'dockerode';
import type { SandboxSpec } from '../core/sandbox.ts';

/** Who everything in a sandbox runs as; the number and not a name, so that no image can give the name another meaning. */
export const SANDBOX_UID = 1_000;
export const MAX_OPEN_FILES = 1_024;
const SHM_BYTES = 16 * 2 ** 20;

/** The labels by which a gateway knows its own containers again. */
export const OWNER_LABEL = 'cronium.instance';
export const RUNTIME_LABEL = 'cronium.runtime';

export interface ContainerPlan {
  image: string;
  name: string;
  spec: SandboxSpec;
  instanceId: string;
  limitsEnabled: boolean;
  /** CPUs that the engine has: it refuses a quota above them. */
  engineCpus: number;
}

/** The container that a sandbox is: unprivileged, read-only, without network, and with nothing of the host in it. */
export function containerOptions(plan: ContainerPlan): ContainerCreateOptions {
  const { spec } = plan;
  return {
    name: plan.name,
    Image: plan.image,
    User: `${SANDBOX_UID}:${SANDBOX_UID}`,
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
      SecurityOpt: ['no-new-privileges'],
      // A process 1 that reaps: what functions leave behind must not fill the limit on processes.
      Init: true,
      IpcMode: 'private',
      ShmSize: SHM_BYTES,
      Tmpfs: {
        '/tmp': tmpfs(spec.tmpBytes),
        '/run': tmpfs(spec.runBytes),
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

function tmpfs(bytes: number): string {
  // Its owner by number too: some versions of runc put the mode of the image's own directory in place of the one asked for.
  return `rw,exec,nosuid,nodev,size=${bytes},mode=1777,uid=${SANDBOX_UID},gid=${SANDBOX_UID}`;
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
