import { RUNTIMES } from '../core/event.ts';
import type { SecurityLevel } from '../core/isolation.ts';
import type { SandboxBackend } from '../core/sandbox.ts';
import { messageOf } from '../errors.ts';
import { AgentBackend } from './backend.ts';
import type { BubblewrapOptions } from './bubblewrap.ts';
import type { DockerOptions } from './docker.ts';
import type { WantedRuntime } from './oci-runtime.ts';
import { IsolationRefused } from './refused.ts';

export type IsolationMode = 'auto' | 'docker' | 'podman' | 'bubblewrap';

export interface DetectOptions {
  docker: DockerOptions;
  podman: DockerOptions;
  bubblewrap: BubblewrapOptions;
  /** The OCI runtime that engines must use: `gvisor`, or one by its name; `auto` takes gVisor where it is proved. */
  ociRuntime: string;
  /** What all of them must meet. */
  level: SecurityLevel;
}

/** An isolation that this host cannot give, and what would change that. */
export interface Refusal {
  /** An ISOLATION_MODE, with the runtime that was asked for, if one was: `docker+gvisor`. */
  name: string;
  reason: string;
  remedy: string;
}

/** Nothing here can isolate functions at the level asked for, so nothing may run: a level is never lowered. */
export class NoIsolation extends Error {
  override readonly name = 'NoIsolation';
  readonly refusals: readonly Refusal[];

  constructor(refusals: readonly Refusal[], level: SecurityLevel) {
    const lines = refusals.map(({ name, reason, remedy }) => `  ${name}: ${reason}\n    ${remedy}`);
    const what =
      level === 'basic'
        ? 'Nothing on this host can isolate functions, and without isolation none is run'
        : `Nothing on this host meets SECURITY_LEVEL=${level}, and no function is run at less`;
    super(`${what}:\n${lines.join('\n')}`);
    this.refusals = refusals;
  }
}

/** A way of isolating that can be tried. */
export interface Candidate {
  name: string;
  mode: Exclude<IsolationMode, 'auto'>;
  remedy: string;
  connect(): Promise<SandboxBackend>;
}

const IMAGES_REMEDY = 'Images come from PYTHON_BASE_IMAGE and NODE_BASE_IMAGE.';
const REMEDIES = {
  docker: `Start a Docker engine, or name one by DOCKER_HOST (https://docs.docker.com/engine/install/). ${IMAGES_REMEDY}`,
  podman: `Start Podman's service (systemctl --user enable --now podman.socket), or name its socket by PODMAN_HOST. ${IMAGES_REMEDY}`,
  bubblewrap: 'On Debian or Ubuntu: apt-get install -y bubblewrap python3 util-linux',
};

/** In the order in which they are tried. Each is loaded when it is tried: an engine's client is megabytes, and only one is used. */
export function candidates(options: DetectOptions): Candidate[] {
  return [
    ...containerCandidates('docker', options),
    ...containerCandidates('podman', options),
    {
      name: 'bubblewrap',
      mode: 'bubblewrap',
      remedy: REMEDIES.bubblewrap,
      async connect() {
        if (options.ociRuntime !== 'auto')
          throw new IsolationRefused(
            `it has no OCI runtimes, and RUNTIME=${options.ociRuntime} asks for one`,
            'Set RUNTIME=auto, or use a container engine that has this runtime.',
          );
        const { BubblewrapLauncher } = await import('./bubblewrap.ts');
        return new AgentBackend(await BubblewrapLauncher.connect(options.bubblewrap));
      },
    },
  ];
}

function containerCandidates(mode: 'docker' | 'podman', options: DetectOptions): Candidate[] {
  const candidate = (name: string, wanted: WantedRuntime): Candidate => ({
    name,
    mode,
    remedy: REMEDIES[mode],
    async connect() {
      const { DockerLauncher } = await import('./docker.ts');
      const launcher = await DockerLauncher.connect(options[mode], wanted);
      try {
        await launcher.prepare(RUNTIMES);
      } catch (error) {
        await launcher.close();
        throw error;
      }
      return new AgentBackend(launcher);
    },
  });
  const gvisor = candidate(`${mode}+gvisor`, 'gvisor');
  const { ociRuntime } = options;
  if (ociRuntime === 'auto') return [gvisor, candidate(mode, 'default')];
  return [ociRuntime === 'gvisor' ? gvisor : candidate(`${mode}+${ociRuntime}`, { name: ociRuntime })];
}

/** What came of trying a candidate. */
export type Attempt = { candidate: Candidate } & ({ backend: SandboxBackend } | { refusal: Refusal });

/** Tries the candidates of a mode, one after the other, as far as they are asked for. An engine that is away is tried once. */
export async function* tryCandidates(mode: IsolationMode, options: DetectOptions): AsyncGenerator<Attempt> {
  const away = new Set<IsolationMode>();
  for (const candidate of candidates(options)) {
    if ((mode !== 'auto' && mode !== candidate.mode) || away.has(candidate.mode)) continue;
    try {
      yield { candidate, backend: await candidate.connect() };
    } catch (error) {
      const isAway = error instanceof Error && error.name === 'EngineAway';
      if (isAway) away.add(candidate.mode);
      const remedy = (error as Partial<IsolationRefused>).remedy ?? candidate.remedy;
      const name = isAway ? candidate.mode : candidate.name;
      yield { candidate, refusal: { name, reason: messageOf(error), remedy } };
    }
  }
}

/**
 * The strongest isolation that works here, tried and not guessed, and why stronger ones were refused. A mode other than `auto`
 * is that or nothing, and so is an OCI runtime.
 * @throws NoIsolation
 */
export async function detectBackend(
  mode: IsolationMode,
  options: DetectOptions,
): Promise<{ backend: SandboxBackend; refusals: Refusal[] }> {
  const refusals: Refusal[] = [];
  for await (const attempt of tryCandidates(mode, options)) {
    if ('backend' in attempt) return { backend: attempt.backend, refusals };
    refusals.push(attempt.refusal);
  }
  throw new NoIsolation(refusals, options.level);
}
