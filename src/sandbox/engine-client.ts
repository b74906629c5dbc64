import { existsSync } from 'node:fs';
import { Agent } from 'node:http';
import { inspect } from 'node:util';
import type Docker from 'dockerode';
import { messageOf } from '../errors.ts';
import { DockerClient } from './dockerode.ts';

/** Who answers Docker's API. */
export type EngineKind = 'docker' | 'podman';

/** An OCI runtime as an engine lists it: a program, or a shim of containerd by its type. Listed does not mean installed. */
export interface ListedRuntime {
  path?: string;
  runtimeType?: string;
}

/** What an engine says of itself (Docker Engine API, SystemInfo), as far as it is asked for. */
export interface EngineInfo {
  NCPU: number;
  DefaultRuntime: string;
  Runtimes?: Record<string, ListedRuntime>;
  KernelVersion?: string;
  /** False where the host has no control group for memory. */
  MemoryLimit?: boolean;
  /** What the host confines containers by: `name=apparmor`, `name=seccomp,profile=default`, `name=userns`. */
  SecurityOptions?: string[] | null;
}

/** No engine answers there, so that nothing of it need be tried. */
export class EngineAway extends Error {
  override readonly name = 'EngineAway';
}

const KEPT_CONNECTION_MS = 5_000;
/** Before it says what it is, Podman asks the host who packaged its programs: seconds, where the host is busy. */
const PROBE_TIMEOUT_MS = 15_000;

/** Connections that can be ended for good: who asks after that is refused, and does not keep this process alive. */
class EngineAgent extends Agent {
  #ended = false;

  override createConnection(...args: Parameters<Agent['createConnection']>) {
    const socket = super.createConnection(...args);
    if (this.#ended) socket?.destroy(new Error('the connection to the engine is closed'));
    return socket;
  }

  override destroy(): void {
    this.#ended = true;
    super.destroy();
  }

  /** The library writes each request out for its debug log, whether or not there is one, and with it every open connection. */
  [inspect.custom](): string {
    return 'EngineAgent';
  }
}

/** A connection to an engine that speaks Docker's API, and what the engine is. */
export class EngineClient {
  readonly docker: Docker;
  readonly kind: EngineKind;
  readonly info: EngineInfo;
  readonly #agent: Agent;

  private constructor(docker: Docker, agent: Agent, kind: EngineKind, info: EngineInfo) {
    this.docker = docker;
    this.kind = kind;
    this.info = info;
    this.#agent = agent;
  }

  /**
   * @param kind who should answer; a Podman is taken at a Docker's place, because it says itself what it is
   * @param host a URL, or the kind's usual place when not given
   * @throws EngineAway when nobody answers, or a Docker at a Podman's place
   */
  static async connect(kind: EngineKind, host: string | undefined): Promise<EngineClient> {
    const docker = clientOf(host ?? (kind === 'podman' ? podmanSocket() : undefined));
    const agent = new EngineAgent({ keepAlive: true, scheduling: 'lifo', timeout: KEPT_CONNECTION_MS });
    // The library takes it and its types do not know; one for TLS it makes itself.
    const overTls = 'protocol' in docker.modem && docker.modem.protocol === 'https';
    if (!overTls) Object.assign(docker.modem, { agent });
    try {
      const asked = Promise.all([docker.info() as Promise<EngineInfo>, docker.version()]);
      const [info, { Components = [] }] = await answered(asked, kind, PROBE_TIMEOUT_MS);
      const found: EngineKind = Components.some(({ Name }) => Name === 'Podman Engine') ? 'podman' : 'docker';
      if (kind === 'podman' && found !== 'podman') throw new Error('the engine that answers is not Podman');
      return new EngineClient(docker, agent, found, info);
    } catch (error) {
      agent.destroy();
      throw new EngineAway(messageOf(error), { cause: error });
    }
  }

  /** Gives up what an engine that hangs has not answered: it would keep this process alive. */
  close(): void {
    this.#agent.destroy();
  }
}

/** Where Podman's service listens when nobody says otherwise: an ordinary user has one of their own. */
function podmanSocket(): string {
  const uid = process.getuid?.() ?? 0;
  const own = `${process.env.XDG_RUNTIME_DIR ?? `/run/user/${uid}`}/podman/podman.sock`;
  const places = uid === 0 ? ['/run/podman/podman.sock', own] : [own, '/run/podman/podman.sock'];
  return `unix://${places.find((path) => existsSync(path)) ?? places[0]}`;
}

function clientOf(host: string | undefined): Docker {
  if (host === undefined) return new DockerClient();
  if (host.startsWith('unix:')) return new DockerClient({ socketPath: host.replace(/^unix:(\/\/)?/, '') });
  const { protocol, hostname, port } = new URL(host);
  if (protocol !== 'tcp:' && protocol !== 'http:')
    throw new EngineAway(`${host}: ${protocol}// is not supported; use unix:// or tcp://`);
  return new DockerClient({ host: hostname, port: Number(port || 2375), protocol: 'http' });
}

/** The HTTP status of an engine's refusal; `undefined` when it was no answer at all. */
export function statusOf(error: unknown): number | undefined {
  return (error as { statusCode?: number }).statusCode;
}

/** Rejects when the engine takes longer than `timeoutMs`. */
export async function answered<T>(work: Promise<T>, kind: EngineKind, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const message = `the ${engineName(kind)} engine did not answer within ${timeoutMs} ms`;
    timer = setTimeout(() => reject(new Error(message)), timeoutMs);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

function engineName(kind: EngineKind): string {
  return kind === 'podman' ? 'Podman' : 'Docker';
}
