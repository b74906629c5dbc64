import { randomBytes } from 'node:crypto';
import { Agent } from 'node:http';
import type { Duplex } from 'node:stream';
import Docker from 'dockerode';
import type { Runtime } from '../core/event.ts';
import type { SandboxSpec } from '../core/sandbox.ts';
import { messageOf } from '../errors.ts';
import { AttachedChannel } from './docker-stream.ts';
import { containerOptions, OWNER_LABEL } from './hardening.ts';
import { Images, type ImagesOptions } from './images.ts';
import type { Launched, Launcher } from './launcher.ts';
import { Tail } from './tail.ts';

export interface DockerOptions extends ImagesOptions {
  /** As for the docker command; its default when not given. */
  dockerHost: string | undefined;
  /** Marks this gateway's containers, and survives its restarts. */
  instanceId: string;
  limitsEnabled: boolean;
  onEngineError: (error: unknown) => void;
}

const KEPT_CONNECTION_MS = 5_000;
const PROBE_TIMEOUT_MS = 5_000;
const REMOVAL_RETRY_MS = 1_000;
/** An engine that hangs must not keep a gateway from stopping, ms. */
const REMOVAL_TIMEOUT_MS = 5_000;

/** Sandboxes as containers of a Docker engine, by its API and with nothing of this host mounted. */
export class DockerLauncher implements Launcher {
  readonly isolation: string;
  readonly kernel = 'host';
  readonly #docker: Docker;
  readonly #agent: Agent;
  readonly #images: Images;
  readonly #options: DockerOptions;
  readonly #engineCpus: number;
  readonly #removals: Removals;

  private constructor(docker: Docker, agent: Agent, options: DockerOptions, engine: EngineInfo) {
    this.#docker = docker;
    this.#agent = agent;
    this.#options = options;
    this.#images = new Images(docker, options);
    this.#engineCpus = engine.NCPU;
    this.#removals = new Removals(docker, options.onEngineError);
    this.isolation = `docker+${engine.DefaultRuntime}`;
  }

  /** @throws Error saying why the engine cannot be used */
  static async connect(options: DockerOptions): Promise<DockerLauncher> {
    const agent = new Agent({ keepAlive: true, scheduling: 'lifo', timeout: KEPT_CONNECTION_MS });
    const docker = dockerClient(options.dockerHost);
    // The library takes it and its types do not know; one for TLS it makes itself.
    const overTls = 'protocol' in docker.modem && docker.modem.protocol === 'https';
    if (!overTls) Object.assign(docker.modem, { agent });
    const engine: EngineInfo = await withTimeout(
      docker.info(),
      PROBE_TIMEOUT_MS,
      'the Docker engine did not answer',
    );
    return new DockerLauncher(docker, agent, options, engine);
  }

  /** @throws GatewayError `isolation_unavailable` when an image cannot be had */
  async prepare(runtimes: readonly Runtime[]): Promise<void> {
    for (const runtime of runtimes) await this.#images.ensure(runtime);
  }

  async launch(spec: SandboxSpec, signal: AbortSignal): Promise<Launched> {
    const launching = this.#launch(spec, signal);
    return unlessAborted(launching, signal).catch(async (error) => {
      // It tidies up after itself, which an engine that hangs may let it do only when nobody waits any more.
      const tidied = launching.then(
        (launched) => launched.kill(),
        () => {},
      );
      await withTimeout(tidied, REMOVAL_TIMEOUT_MS, 'the Docker engine did not answer').catch(() => {});
      throw error;
    });
  }

  async #launch(spec: SandboxSpec, signal: AbortSignal): Promise<Launched> {
    const container = await this.#create(spec);
    try {
      signal.throwIfAborted();
      return await this.#start(container, signal);
    } catch (error) {
      await this.#removals.remove(container.id);
      throw error;
    }
  }

  async #start(container: Docker.Container, signal: AbortSignal): Promise<Launched> {
    const stderr = new Tail();
    const attached = await container.attach({
      stream: true,
      stdin: true,
      stdout: true,
      stderr: true,
      hijack: true,
    });
    const channel = new AttachedChannel(attached as Duplex, (chunk) => stderr.append(chunk));
    // Without a listener an engine that goes away would end the gateway.
    channel.on('error', () => {});
    const ended = new Promise<void>((resolve) => channel.once('close', resolve));
    await container.start();
    signal.throwIfAborted();
    return {
      id: container.id,
      channel,
      ended,
      stderr: () => stderr.text(),
      kill: () => {
        channel.destroy();
        return this.#removals.remove(container.id);
      },
      ranOutOfMemory: async () => (await container.inspect()).State.OOMKilled,
    };
  }

  async sweep(): Promise<number> {
    const filters = { label: [`${OWNER_LABEL}=${this.#options.instanceId}`] };
    const left = await this.#docker.listContainers({ all: true, filters });
    await Promise.all(left.map(({ Id }) => this.#removals.remove(Id)));
    return left.length;
  }

  async close(): Promise<void> {
    await this.#removals.close();
    await withTimeout(this.sweep(), PROBE_TIMEOUT_MS, 'the Docker engine did not answer').catch(
      this.#options.onEngineError,
    );
    // What an engine that hangs has not answered would keep this process alive.
    this.#agent.destroy();
  }

  async #create(spec: SandboxSpec, retried = false): Promise<Docker.Container> {
    const { instanceId, limitsEnabled } = this.#options;
    const image = await this.#images.ensure(spec.runtime);
    const name = `cronium-${spec.runtime}-${randomBytes(8).toString('hex')}`;
    const engineCpus = this.#engineCpus;
    try {
      return await this.#docker.createContainer(
        containerOptions({ image, name, spec, instanceId, limitsEnabled, engineCpus }),
      );
    } catch (error) {
      // Whether an engine that went away in the middle has made it, only another look can tell.
      if (statusOf(error) === undefined) this.#removals.remove(name);
      if (retried || statusOf(error) !== 404) throw error;
      this.#images.forget(spec.runtime);
      return this.#create(spec, true);
    }
  }
}

/** Removes containers, and goes on trying while the engine is away, so that none stays behind. */
class Removals {
  readonly #docker: Docker;
  readonly #onEngineError: (error: unknown) => void;
  readonly #failed = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(docker: Docker, onEngineError: (error: unknown) => void) {
    this.#docker = docker;
    this.#onEngineError = onEngineError;
  }

  /** Never rejects: what fails now is tried again later. */
  async remove(id: string): Promise<void> {
    try {
      await withTimeout(
        this.#docker.getContainer(id).remove({ force: true, v: true }),
        REMOVAL_TIMEOUT_MS,
        'the Docker engine did not answer',
      );
    } catch (error) {
      // Gone already, or another removal is at it.
      if (statusOf(error) === 404 || statusOf(error) === 409) return;
      this.#onEngineError(
        new Error(`container ${id.slice(0, 12)} could not be removed yet: ${messageOf(error)}`),
      );
      this.#failed.add(id);
      if (!this.#closed) this.#timer ??= setTimeout(() => this.#retry(), REMOVAL_RETRY_MS);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#retry();
  }

  async #retry(): Promise<void> {
    this.#timer = undefined;
    const ids = [...this.#failed];
    this.#failed.clear();
    await Promise.all(ids.map((id) => this.remove(id)));
  }
}

interface EngineInfo {
  NCPU: number;
  DefaultRuntime: string;
}

function dockerClient(host: string | undefined): Docker {
  if (host === undefined) return new Docker();
  if (host.startsWith('unix://')) return new Docker({ socketPath: host.slice('unix://'.length) });
  const { protocol, hostname, port } = new URL(host);
  if (protocol !== 'tcp:' && protocol !== 'http:')
    throw new Error(`DOCKER_HOST: ${protocol}// is not supported; use unix:// or tcp://`);
  return new Docker({ host: hostname, port: Number(port || 2375), protocol: 'http' });
}

function statusOf(error: unknown): number | undefined {
  return (error as { statusCode?: number }).statusCode;
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

async function withTimeout<T>(work: Promise<T>, timeoutMs: number, message: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${message} within ${timeoutMs} ms`)), timeoutMs);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
