import { execFile } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import Docker from 'dockerode';
import { OWNER_LABEL } from '../../src/sandbox/hardening.ts';
import { engineConfig } from '../engines.ts';

const SCRIPT = fileURLToPath(new URL('engine.sh', import.meta.url));
const run = promisify(execFile);

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

  static async start(): Promise<OwnEngine> {
    // Short: the path of a Unix socket holds 108 bytes.
    const engine = new OwnEngine(await mkdtemp(join(tmpdir(), 'cfe-')));
    const { PYTHON_BASE_IMAGE, NODE_BASE_IMAGE } = engineConfig();
    try {
      await engine.do('up', PYTHON_BASE_IMAGE, NODE_BASE_IMAGE);
      return engine;
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      throw error;
    }
  }

  async do(
    what: 'up' | 'start' | 'stop' | 'kill' | 'freeze' | 'thaw' | 'down',
    ...args: string[]
  ): Promise<void> {
    await run(SCRIPT, [this.#state, what, ...args]);
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
