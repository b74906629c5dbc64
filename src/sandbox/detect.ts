import { RUNTIMES } from '../core/event.ts';
import type { SandboxBackend } from '../core/sandbox.ts';
import { messageOf } from '../errors.ts';
import { AgentBackend } from './backend.ts';
import type { BubblewrapOptions } from './bubblewrap.ts';
import type { DockerOptions } from './docker.ts';

export type IsolationMode = 'auto' | 'docker' | 'bubblewrap';

export interface DetectOptions {
  docker: DockerOptions;
  bubblewrap: BubblewrapOptions;
}

/** An isolation that this host cannot give, and what would change that. */
export interface Refusal {
  name: Exclude<IsolationMode, 'auto'>;
  reason: string;
  remedy: string;
}

/** Nothing here can isolate functions, so nothing may run. */
export class NoIsolation extends Error {
  override readonly name = 'NoIsolation';
  readonly refusals: readonly Refusal[];

  constructor(refusals: readonly Refusal[]) {
    const lines = refusals.map(({ name, reason, remedy }) => `  ${name}: ${reason}\n    ${remedy}`);
    super(
      `Nothing on this host can isolate functions, and without isolation none is run:\n${lines.join('\n')}`,
    );
    this.refusals = refusals;
  }
}

/** A way of isolating that can be tried. */
export interface Candidate {
  name: Refusal['name'];
  remedy: string;
  connect(): Promise<SandboxBackend>;
}

/** Strongest first. Each is loaded when it is tried: an engine's client is megabytes, and only one is used. */
export function candidates(options: DetectOptions): Candidate[] {
  return [
    {
      name: 'docker',
      remedy:
        'Start a Docker engine, or name one by DOCKER_HOST (https://docs.docker.com/engine/install/). ' +
        'Images come from PYTHON_BASE_IMAGE and NODE_BASE_IMAGE.',
      async connect() {
        const { DockerLauncher } = await import('./docker.ts');
        const launcher = await DockerLauncher.connect(options.docker);
        await launcher.prepare(RUNTIMES);
        return new AgentBackend(launcher);
      },
    },
    {
      name: 'bubblewrap',
      remedy: 'On Debian or Ubuntu: apt-get install -y bubblewrap python3 util-linux',
      async connect() {
        const { BubblewrapLauncher } = await import('./bubblewrap.ts');
        return new AgentBackend(await BubblewrapLauncher.connect(options.bubblewrap));
      },
    },
  ];
}

/**
 * The strongest isolation that works here, tried and not guessed, and why stronger ones were refused. A mode other than `auto`
 * is that or nothing.
 * @throws NoIsolation
 */
export async function detectBackend(
  mode: IsolationMode,
  options: DetectOptions,
): Promise<{ backend: SandboxBackend; refusals: Refusal[] }> {
  const refusals: Refusal[] = [];
  for (const { name, remedy, connect } of candidates(options)) {
    if (mode !== 'auto' && mode !== name) continue;
    try {
      return { backend: await connect(), refusals };
    } catch (error) {
      refusals.push({ name, reason: messageOf(error), remedy });
    }
  }
  throw new NoIsolation(refusals);
}
