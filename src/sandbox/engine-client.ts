import type { Agent } from 'node:http';
import type Docker from 'dockerode';
import { messageOf } from '../errors.ts';
import { type EngineAddress, engineAt } from './engine-address.ts';
import { EngineAway } from './engine-away.ts';

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

/** Before it says what it is, Podman asks the host who packaged its programs: seconds, where the host is busy. */
const PROBE_TIMEOUT_MS = 15_000;

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
   * @throws EngineAway when nobody answers, or a Docker at a Podman's place
   */
  static async connect(kind: EngineKind, address: EngineAddress): Promise<EngineClient> {
    const { docker, agent, remedyFor } = await engineAt(kind, address);
    try {
      const asked = Promise.all([docker.info() as Promise<EngineInfo>, docker.version()]);
      const [info, { Components = [] }] = await answered(asked, kind, PROBE_TIMEOUT_MS);
      const found: EngineKind = Components.some(({ Name }) => Name === 'Podman Engine') ? 'podman' : 'docker';
      if (kind === 'podman' && found !== 'podman') throw new Error('the engine that answers is not Podman');
      return new EngineClient(docker, agent, found, info);
    } catch (error) {
      agent.destroy();
      throw new EngineAway(messageOf(error).trim(), { cause: error, remedy: remedyFor?.(error) });
    }
  }

  /** Gives up what an engine that hangs has not answered: it would keep this process alive. */
  close(): void {
    this.#agent.destroy();
  }
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
