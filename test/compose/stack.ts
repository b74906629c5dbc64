import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, cpSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Docker from 'dockerode';
import { messageOf } from '../../src/errors.ts';
import { OWNER_LABEL } from '../../src/sandbox/hardening.ts';
import { cleanEnv, type Ended, ROOT, run, TempDir } from '../e2e/processes.ts';
import { eventuallyNone } from '../traces.ts';

/** What the stack is made of, and no more: also what the image is built from. */
const FILES = [
  '.dockerignore',
  '.env.example',
  'Dockerfile',
  'LICENSE',
  'bin',
  'deploy',
  'docker-compose.yaml',
  'package-lock.json',
  'package.json',
  'runtimes',
  'src',
];
const IMAGES = ['NODE_BASE_IMAGE', 'BUILD_BASE_IMAGE', 'POSTGRES_IMAGE'];
const HEALTHY_TIMEOUT_MS = 120_000;
const POLL_MS = 200;
const PROJECT_LABEL = 'com.docker.compose.project';

/** The command for Compose that this machine has, or why there can be no stack here. */
export async function findCompose(): Promise<{ command: string; unavailable?: string }> {
  const unavailable = (reason: string) => ({ command: '', unavailable: reason });
  const host = process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock';
  if (!host.startsWith('unix://')) return unavailable(`the Docker engine at ${host} has no socket here`);
  try {
    await new Docker().ping();
  } catch (error) {
    return unavailable(`no Docker engine: ${messageOf(error)}`);
  }
  for (const command of ['docker compose', 'docker-compose']) {
    const { code } = await run(['sh', '-c', `${command} version`]);
    if (code === 0) return { command };
  }
  return unavailable('there is no Compose here; on Debian: apt-get install docker-compose');
}

/** A copy of what docker-compose.yaml needs, as a project of its own on a free port. */
export class Stack implements AsyncDisposable {
  readonly name: string = `cronium-test-${randomBytes(4).toString('hex')}`;
  readonly docker: Docker = new Docker();
  readonly url: string;
  /** What the user of the stack would have in the shell. */
  readonly env: Record<string, string>;
  readonly #command: string;
  readonly #dir = new TempDir();

  private constructor(command: string, port: number) {
    this.#command = command;
    this.url = `http://127.0.0.1:${port}`;
    const images = IMAGES.flatMap((name) =>
      process.env[name] === undefined ? [] : [[name, process.env[name]] as const],
    );
    this.env = {
      ...cleanEnv(),
      ...Object.fromEntries(images),
      COMPOSE_PROJECT_NAME: this.name,
      // The classic builder: an engine of old has no network of the kind that the other one wants.
      DOCKER_BUILDKIT: '0',
      GATEWAY_IMAGE: this.name,
      PORT: String(port),
      ...(process.env.DOCKER_HOST && { DOCKER_SOCKET: process.env.DOCKER_HOST.slice('unix://'.length) }),
    };
    for (const file of FILES) cpSync(join(ROOT, file), join(this.dir, file), { recursive: true });
  }

  static async create(command: string): Promise<Stack> {
    return new Stack(command, await freePort());
  }

  get dir(): string {
    return this.#dir.path;
  }

  /** Adds a line to the stack's `.env`. */
  set(name: string, value: string): void {
    appendFileSync(join(this.dir, '.env'), `${name}=${value}\n`);
  }

  /** Forgets all settings. */
  unset(): void {
    rmSync(join(this.dir, '.env'), { force: true });
  }

  /** Runs shell commands that say `docker compose` and port 8787. @throws Error with all that was printed if one fails */
  async paste(commands: string): Promise<string> {
    const { code, stdout, stderr } = await this.try(commands);
    if (code !== 0) throw new Error(`${commands}\nended with ${code}:\n${stdout}\n${stderr}`);
    return stdout;
  }

  try(commands: string): Promise<Ended> {
    const script = commands
      .replaceAll('docker compose', this.#command)
      .replaceAll('http://127.0.0.1:8787', this.url);
    return run(['bash', '-euo', 'pipefail', '-c', script], { cwd: this.dir, env: this.env });
  }

  async containers(): Promise<Docker.ContainerInspectInfo[]> {
    const filters = { label: [`${PROJECT_LABEL}=${this.name}`] };
    const listed = await this.docker.listContainers({ all: true, filters });
    return Promise.all(listed.map(({ Id }) => this.docker.getContainer(Id).inspect()));
  }

  async container(service: string): Promise<Docker.ContainerInspectInfo> {
    const all = await this.containers();
    const found = all.find(({ Config }) => Config.Labels['com.docker.compose.service'] === service);
    if (found === undefined) throw new Error(`there is no container of ${service}`);
    return found;
  }

  /** @throws Error with the log when it never is */
  async healthy(): Promise<void> {
    for (const deadline = Date.now() + HEALTHY_TIMEOUT_MS; Date.now() < deadline; await sleep(POLL_MS)) {
      const { State } = await this.container('gateway');
      if (State.Health?.Status === 'healthy') return;
    }
    throw new Error(`the gateway is not healthy:\n${await this.log('gateway')}`);
  }

  async log(service: string): Promise<string> {
    return (await this.try(`docker compose logs --no-color ${service}`)).stdout;
  }

  /** Waits for a text in a service's log, which is asked for past Compose: starting that is most of what a look costs. */
  async logged(service: string, text: string): Promise<string> {
    for (const deadline = Date.now() + HEALTHY_TIMEOUT_MS; ; await sleep(POLL_MS)) {
      const { Id } = await this.container(service);
      const log = await this.docker.getContainer(Id).logs({ stdout: true, stderr: true });
      if (log.includes(text)) return this.log(service);
      if (Date.now() > deadline) throw new Error(`never logged: ${text}\n${await this.log(service)}`);
    }
  }

  async instanceId(): Promise<string> {
    return (await this.paste('docker compose exec -T gateway cat /data/instance-id')).trim();
  }

  /** The sandboxes of a gateway that has this id. */
  async sandboxes(instanceId: string): Promise<string[]> {
    const filters = { label: [`${OWNER_LABEL}=${instanceId}`] };
    const found = await this.docker.listContainers({ all: true, filters });
    return found.map(({ Names }) => `sandbox ${Names[0]}`);
  }

  async volumes(): Promise<string[]> {
    const filters = { label: [`${PROJECT_LABEL}=${this.name}`] };
    const { Volumes } = await this.docker.listVolumes({ filters: JSON.stringify(filters) });
    return (Volumes ?? []).map(({ Name }) => `volume ${Name}`).sort();
  }

  /** All that the engine still has of this project, after a while for what is on its way out. */
  left(): Promise<string[]> {
    return eventuallyNone(async () => {
      const filters = { label: [`${PROJECT_LABEL}=${this.name}`] };
      const networks = await this.docker.listNetworks({ filters });
      return [
        ...(await this.containers()).map(({ Name }) => `container ${Name}`),
        ...networks.map(({ Name }) => `network ${Name}`),
        ...(await this.volumes()),
      ];
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.try('docker compose down --volumes --remove-orphans --timeout 20');
    await this.docker
      .getImage(this.name)
      .remove({ force: true })
      .catch(() => {});
    this.#dir[Symbol.dispose]();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
