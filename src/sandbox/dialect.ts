import type { ContainerCreateOptions } from 'dockerode';
import type { Kernel } from '../core/isolation.ts';
import type { SandboxSpec } from '../core/sandbox.ts';
import { messageOf } from '../errors.ts';
import type { EngineKind } from './engine-client.ts';
import type { OciRuntime } from './oci-runtime.ts';

/** What gVisor's own processes take, beside the function's memory: measured 11 MB at rest, more with open files and threads. */
export const GVISOR_OVERHEAD_BYTES = 32 * 2 ** 20;
/** For each thread inside, gVisor's ptrace platform has several on the host; the limit on those inside is RLIMIT_NPROC, which it counts. */
const GVISOR_HOST_PIDS = 16;
/** Low enough for an engine that may raise no limit. It holds for a whole user, the user of all sandboxes; the control group for one. */
const PROCESSES_OF_USER = 4_096;

/** Something that an engine does not do, learnt when it refuses: an engine's name and version do not tell. */
interface Quirk {
  name:
    | 'attaches after start'
    | 'reads the seccomp profile from a file'
    | 'has not loaded the AppArmor profile'
    | 'sets no limit on processes itself'
    | 'has no init';
  refusal: RegExp;
}

const QUIRKS: readonly Quirk[] = [
  { name: 'sets no limit on processes itself', refusal: /setting rlimit/i },
  // Engines and runtimes word it in many ways; nothing else of what is asked for has to do with AppArmor.
  { name: 'has not loaded the AppArmor profile', refusal: /apparmor/i },
  { name: 'has no init', refusal: /(container-init|init) binary .*(not found|no such file)|init_path/i },
  { name: 'reads the seccomp profile from a file', refusal: /opening seccomp profile failed/i },
  { name: 'attaches after start', refusal: /can only attach to|state improper/i },
];

/** How one engine wants to be spoken to. All that differs between engines is here, and in nothing else. */
export class Dialect {
  readonly #kind: EngineKind;
  readonly #known = new Set<Quirk['name']>();

  constructor(kind: EngineKind) {
    this.#kind = kind;
  }

  /** Grows with each thing learnt: what began at an earlier count may be worth another try. */
  get learnt(): number {
    return this.#known.size;
  }

  learnFrom(refusal: unknown): void {
    const message = messageOf(refusal);
    const quirk = QUIRKS.find(({ refusal: pattern }) => pattern.test(message));
    if (quirk !== undefined) this.#known.add(quirk.name);
  }

  get attachesAfterStart(): boolean {
    return this.#known.has('attaches after start');
  }

  get readsProfileFromFile(): boolean {
    return this.#known.has('reads the seccomp profile from a file');
  }

  get lacksAppArmorProfile(): boolean {
    return this.#known.has('has not loaded the AppArmor profile');
  }

  /** The container in this engine's words, with what its runtime needs. */
  adapt(options: ContainerCreateOptions, spec: SandboxSpec, { name, isNamed }: OciRuntime, kernel: Kernel) {
    const host = { ...options.HostConfig };
    const limits = [...(host.Ulimits ?? [])];
    if (isNamed) host.Runtime = name;
    if (kernel === 'gvisor' && host.Memory !== undefined) {
      host.Memory += GVISOR_OVERHEAD_BYTES;
      host.MemorySwap = host.Memory;
      host.PidsLimit = spec.pids * GVISOR_HOST_PIDS;
      limits.push({ Name: 'nproc', Soft: spec.pids, Hard: spec.pids });
    } else if (this.#known.has('sets no limit on processes itself')) {
      limits.push({ Name: 'nproc', Soft: PROCESSES_OF_USER, Hard: PROCESSES_OF_USER });
    }
    if (this.#known.has('has no init')) host.Init = false;
    host.Ulimits = limits;
    return this.#kind === 'podman'
      ? forPodman({ ...options, HostConfig: host })
      : { ...options, HostConfig: host };
  }
}

function forPodman(options: ContainerCreateOptions): ContainerCreateOptions {
  const tmpfs = Object.entries<string>(options.HostConfig?.Tmpfs ?? {}).map(([path, words]) => [
    path,
    // It has another word for the owner, and would fill the directory with what the image has there.
    `${words.replace(/,[ug]id=\d+/g, '')},U,notmpcopyup`,
  ]);
  const { MaskedPaths: masked, ...host } = options.HostConfig ?? {};
  const masks = masked === undefined ? [] : [`mask=${masked.join(':')}`];
  return {
    ...options,
    // Removed by force, it would be asked first, and waited for.
    StopTimeout: 0,
    HostConfig: {
      ...host,
      SecurityOpt: [...(host.SecurityOpt ?? []), ...masks],
      // With a read-only root, it makes this one writable, and without a bound.
      Tmpfs: {
        ...Object.fromEntries(tmpfs),
        '/var/tmp': 'ro,nosuid,nodev,noexec,size=4096,mode=0555,notmpcopyup',
      },
    },
  };
}
