import { execFile } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import Docker from 'dockerode';
import { OWNER_LABEL } from '../../src/sandbox/hardening.ts';
import { engineConfig } from '../engines.ts';

const SCRIPT = fileURLToPath(new URL('engine.sh', import.meta.url));
const run = promisify(execFile);
/** As engine.sh has it. */
export const REMAPPED_TO = 2_000_000;

/** A Docker engine that a test may stop: with the base images of the shared one, and gone with everything when disposed. */
export class OwnEngine implements AsyncDisposable {
  readonly host: string;
  readonly docker: Docker;
  readonly #state: string;

  private constructor(state: string) {
    this.#state = state;
    const socketPath = join(state, 'run/docker.sock');
    this.host = `unix://${socketPath}`;
    this.docker = new Docker({ socketPath });
  }

  /**
   * @param images that it has; the base images of all runtimes when not given
   * @param how `remapped`: with `userns-remap`, so that users in containers are users from {@link REMAPPED_TO} on outside
   */
  static async start(images?: readonly string[], how: 'up' | 'remapped' = 'up'): Promise<OwnEngine> {
    // Short: the path of a Unix socket holds 108 bytes.
    const engine = new OwnEngine(await mkdtemp(join(tmpdir(), 'cfe-')));
    const { PYTHON_BASE_IMAGE, NODE_BASE_IMAGE } = engineConfig();
    try {
      await engine.do(how, ...(images ?? [PYTHON_BASE_IMAGE, NODE_BASE_IMAGE]));
      return engine;
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      throw error;
    }
  }

  async do(
    what: 'up' | 'remapped' | 'start' | 'stop' | 'kill' | 'freeze' | 'thaw' | 'runtimes' | 'down',
    ...args: string[]
  ): Promise<void> {
    await run(SCRIPT, [this.#state, what, ...args]);
  }

  /** Gives it other OCI runtimes than those it began with. */
  async setRuntimes(runtimes: Record<string, { path: string; runtimeArgs?: string[] }>): Promise<void> {
    // It takes none that would be in the place of its own.
    await this.do('runtimes', JSON.stringify(runtimes));
    const names = ['runc', ...Object.keys(runtimes)];
    for (;;) {
      const { Runtimes } = (await this.docker.info()) as { Runtimes: Record<string, { path: string }> };
      const isRead = names.every((name) => Runtimes[name]?.path === (runtimes[name]?.path ?? 'runc'));
      const isAll = !Object.keys(Runtimes).some((name) => !names.includes(name) && !name.includes('.'));
      if (isRead && isAll) return;
      await sleep(20);
    }
  }

  /** The ids of all sandboxes of all gateways, in whatever state. */
  async sandboxes(): Promise<string[]> {
    const filters = { label: [OWNER_LABEL] };
    const containers = await this.docker.listContainers({ all: true, filters });
    return containers.map(({ Id, State }) => `${Id.slice(0, 12)} ${State}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.do('down');
  }
}
