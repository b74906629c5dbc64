import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import { fileURLToPath } from 'node:url';
import Docker from 'dockerode';
import { type Config, parseConfig } from '../src/config.ts';
import type { Sandbox, SandboxBackend } from '../src/core/sandbox.ts';
import { messageOf } from '../src/errors.ts';
import { detectOptions } from '../src/main.ts';
import { AgentBackend } from '../src/sandbox/backend.ts';
import { BubblewrapLauncher } from '../src/sandbox/bubblewrap.ts';
import type { DetectOptions } from '../src/sandbox/detect.ts';
import { DockerLauncher } from '../src/sandbox/docker.ts';
import { OWNER_LABEL } from '../src/sandbox/hardening.ts';
import { killBubblewrap, tracesOfBubblewrap } from './traces.ts';

export type EngineName =
  | 'docker'
  | 'bubblewrap'
  | 'bubblewrap with control groups'
  | 'bubblewrap with the resource manager'
  | 'bubblewrap as an ordinary user';

/** A way of isolating, as far as this machine has it. */
export interface Engine {
  name: EngineName;
  /** What ISOLATION_MODE calls it. */
  mode: 'docker' | 'bubblewrap';
  /** Why this machine cannot run it. */
  unavailable: string | undefined;
  /** @param instanceId a fresh one when not given */
  open(instanceId?: string): Promise<OpenEngine>;
}

/** A backend of a gateway that has nothing but it. */
export interface OpenEngine {
  backend: SandboxBackend;
  instanceId: string;
  /** All that there is of this instance outside: containers, or processes, control groups and staged files. */
  traces(): Promise<Traces>;
  /** Ends a sandbox as an administrator of the host would, past the gateway. */
  killFromOutside(sandbox: Sandbox): Promise<void>;
}

export interface Traces {
  /** What belongs to single sandboxes. */
  sandboxes: string[];
  /** What belongs to the gateway as a whole. */
  gateway: string[];
}

/** The user that stands for one who is not root: it owns nothing here. */
export const ORDINARY_UID = 65_534;
const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** What the engine's tests take from the environment: where the engine is, and the base images. */
export function engineConfig(settings: Record<string, string> = {}): Config {
  const { DOCKER_HOST, PYTHON_BASE_IMAGE, NODE_BASE_IMAGE } = process.env;
  return parseConfig({ DOCKER_HOST, PYTHON_BASE_IMAGE, NODE_BASE_IMAGE, ...settings });
}

export function newInstanceId(): string {
  return randomBytes(6).toString('hex');
}

export function engineOptions(instanceId: string): DetectOptions {
  return detectOptions(engineConfig(), { instanceId, onProgress: () => {}, onEngineError: () => {} });
}

/** What there is of a gateway in the Docker engine. */
export async function tracesOfDocker(instanceId: string): Promise<Traces> {
  const filters = { label: [`${OWNER_LABEL}=${instanceId}`] };
  const left = await new Docker().listContainers({ all: true, filters });
  return { sandboxes: left.map(({ Id, State }) => `container ${Id.slice(0, 12)} (${State})`), gateway: [] };
}

async function openDocker(instanceId = newInstanceId()): Promise<OpenEngine> {
  const launcher = await DockerLauncher.connect(engineOptions(instanceId).docker);
  return {
    backend: new AgentBackend(launcher),
    instanceId,
    traces: () => tracesOfDocker(instanceId),
    killFromOutside: (sandbox) => new Docker().getContainer(sandbox.id).kill(),
  };
}

async function openBubblewrap(useCgroups: boolean | undefined, instanceId = newInstanceId()) {
  const { bubblewrap } = engineOptions(instanceId);
  const launcher = await BubblewrapLauncher.connect({
    ...bubblewrap,
    ...(useCgroups !== undefined && { useCgroups }),
  });
  const engine: OpenEngine = {
    backend: new AgentBackend(launcher),
    instanceId,
    traces: async () => tracesOfBubblewrap(instanceId),
    killFromOutside: async () => killBubblewrap(instanceId),
  };
  return { engine, launcher };
}

async function docker(): Promise<Engine> {
  const unavailable = await reasonAgainst(() => DockerLauncher.connect(engineOptions('probe').docker));
  return { name: 'docker', mode: 'docker', unavailable, open: openDocker };
}

/** @param useCgroups `undefined` takes what a gateway would take */
async function bubblewrap(name: EngineName, useCgroups: boolean | undefined): Promise<Engine> {
  const unavailable = await reasonAgainst(async () => {
    const { engine, launcher } = await openBubblewrap(useCgroups);
    await engine.backend.close();
    if (useCgroups && !launcher.limiter.startsWith('cgroup'))
      throw new Error('control groups cannot be written here');
  });
  const open = async (instanceId?: string) => (await openBubblewrap(useCgroups, instanceId)).engine;
  return { name, mode: 'bubblewrap', unavailable, open };
}

/** As `ORDINARY_UID` when this is root: only for a process that can become that for good. */
async function ordinaryBubblewrap(): Promise<Engine> {
  const unavailable = await reasonAgainst(async () => {
    accessSync('/usr/bin/bwrap', constants.X_OK);
    if (process.getuid?.() !== 0) return;
    const user = [`--reuid=${ORDINARY_UID}`, `--regid=${ORDINARY_UID}`, '--clear-groups'];
    // The checkout and the interpreter may lie where no other user can read.
    const looks = ['--eval', `require('node:fs').readdirSync(${JSON.stringify(`${ROOT}node_modules`)})`];
    execFileSync('/usr/bin/setpriv', [...user, process.execPath, ...looks], { stdio: 'pipe' });
    execFileSync('/usr/bin/setpriv', [...user, '/usr/bin/bwrap', '--ro-bind', '/', '/', '/usr/bin/true'], {
      stdio: 'pipe',
    });
  });
  const open = async (instanceId?: string) => (await openBubblewrap(undefined, instanceId)).engine;
  return { name: 'bubblewrap as an ordinary user', mode: 'bubblewrap', unavailable, open };
}

async function reasonAgainst(probe: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await probe();
    return undefined;
  } catch (error) {
    return messageOf(error).trim().split('\n').at(-1);
  }
}

/** Looks, by doing it, at one of the ways of isolating that the suites run on. */
export function findEngine(name: EngineName): Promise<Engine> {
  switch (name) {
    case 'docker':
      return docker();
    case 'bubblewrap':
      return bubblewrap(name, undefined);
    case 'bubblewrap with control groups':
      return bubblewrap(name, true);
    case 'bubblewrap with the resource manager':
      return bubblewrap(name, false);
    case 'bubblewrap as an ordinary user':
      return ordinaryBubblewrap();
  }
}

/** All of them, strongest first. */
export const ENGINE_NAMES: readonly EngineName[] = [
  'docker',
  'bubblewrap with control groups',
  'bubblewrap with the resource manager',
  'bubblewrap as an ordinary user',
];
