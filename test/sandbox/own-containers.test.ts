import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import Docker from 'dockerode';
import tar from 'tar-stream';
import { expect, test } from 'vitest';
import { OWNER_LABEL } from '../../src/sandbox/hardening.ts';
import { ownContainers } from '../../src/sandbox/own-containers.ts';
import { onEngine } from '../on-engine.ts';

const run = promisify(execFile);

await onEngine('podman', () => {
  test.runIf(process.getuid?.() === 0)(
    'of a Podman that was killed while it made some, none is left',
    async () => {
      await using podman = await OwnPodman.start();
      const { docker } = podman;
      const [half, whole, others] = [
        await podman.make('us'),
        await podman.make('us'),
        await podman.make('others'),
      ];
      await podman.killHalfwayThrough([half, others]);
      await expect(docker.listContainers({ all: true })).rejects.toThrow(/container not known/);
      expect(await ownContainers(docker, 'us')).toEqual([whole]);
      // Of another gateway's nothing is touched.
      await expect(docker.listContainers({ all: true })).rejects.toThrow(others);
    },
  );
});

/** A Podman of a test's own, with an image of nothing. */
class OwnPodman implements AsyncDisposable {
  readonly docker: Docker;
  readonly #dir: string;
  #service: ChildProcess | undefined;

  private constructor(dir: string) {
    this.#dir = dir;
    this.docker = new Docker({ socketPath: this.#socket });
  }

  static async start(): Promise<OwnPodman> {
    const podman = new OwnPodman(await mkdtemp(join(tmpdir(), 'cfp-')));
    const file = join(podman.#dir, 'image.tar');
    const pack = tar.pack();
    pack.entry({ name: 'empty' }, '');
    pack.finalize();
    await writeFile(file, await buffer(pack));
    await run('podman', [...podman.#where, 'import', file, 'nothing']);
    await podman.#serve();
    return podman;
  }

  /** @returns its id */
  async make(instanceId: string): Promise<string> {
    const made = await this.docker.createContainer({
      Image: 'nothing',
      Cmd: ['/none'],
      Labels: { [OWNER_LABEL]: instanceId },
      HostConfig: { NetworkMode: 'none' },
    });
    return made.id;
  }

  /** Starts again as after a death between having written these down and its storage's having done so. */
  async killHalfwayThrough(ids: readonly string[]): Promise<void> {
    await this.#kill();
    const file = join(this.#dir, 'root/vfs-containers/containers.json');
    const known = JSON.parse(await readFile(file, 'utf8')) as { id: string }[];
    await writeFile(file, JSON.stringify(known.filter(({ id }) => !ids.includes(id))));
    await this.#serve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#kill();
    await rm(this.#dir, { recursive: true, force: true });
  }

  get #socket(): string {
    return join(this.#dir, 'p.sock');
  }

  get #where(): string[] {
    const dirs = { root: 'root', runroot: 'run', tmpdir: 'tmp' };
    const options = Object.entries(dirs).flatMap(([option, name]) => [`--${option}`, join(this.#dir, name)]);
    return [...options, '--storage-driver', 'vfs'];
  }

  async #serve(): Promise<void> {
    const command = [...this.#where, 'system', 'service', '--time=0', `unix://${this.#socket}`];
    this.#service = spawn('podman', command, { stdio: 'ignore' });
    await expect.poll(() => this.docker.ping().then(String)).toBe('OK');
  }

  async #kill(): Promise<void> {
    if (this.#service === undefined) return;
    const ended = once(this.#service, 'exit');
    if (this.#service.kill('SIGKILL')) await ended;
    await rm(this.#socket, { force: true });
  }
}
