import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { detectOptions } from '../src/compose/detect-options.ts';
import { type Config, parseConfig } from '../src/config.ts';
import type { SecurityLevel } from '../src/core/isolation.ts';
import type { Sandbox, SandboxBackend } from '../src/core/sandbox.ts';
import { messageOf } from '../src/errors.ts';
import { AgentBackend } from '../src/sandbox/backend.ts';
import { BubblewrapLauncher } from '../src/sandbox/bubblewrap.ts';
import type { DetectOptions } from '../src/sandbox/detect.ts';
import { DockerLauncher } from '../src/sandbox/docker.ts';
import { EngineAway } from '../src/sandbox/engine-away.ts';
import { EngineClient, type EngineKind } from '../src/sandbox/engine-client.ts';
import { OWNER_LABEL } from '../src/sandbox/hardening.ts';
import type { WantedRuntime } from '../src/sandbox/oci-runtime.ts';
import { killBubblewrap, tracesOfBubblewrap } from './traces.ts';

export type EngineName =
  | 'docker+runsc'
  | 'docker'
  | 'podman'
  | 'bubblewrap'
  | 'bubblewrap with control groups'
  | 'bubblewrap with the resource manager'
  | 'bubblewrap as an ordinary user';

/** A way of isolating, as far as this machine has it. */
export interface Engine {
  name: EngineName;
  /** What ISOLATION_MODE calls it. */
  mode: 'docker' | 'podman' | 'bubblewrap';
  /** The variables that make a gateway take it and nothing else. */
  settings: Record<string, string>;
  /** Why this machine cannot run it. */
  unavailable: string | undefined;
  /** @param instanceId a fresh one when not given */
  open(instanceId?: string, level?: SecurityLevel): Promise<OpenEngine>;
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
const BUBBLEWRAP = { ISOLATION_MODE: 'bubblewrap' };
const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** What the engine's tests take from the environment: where the engine is, and the base images. */
export function engineConfig(settings: Record<string, string> = {}): Config {
  const { DOCKER_HOST, PODMAN_HOST, PYTHON_BASE_IMAGE, NODE_BASE_IMAGE } = process.env;
  return parseConfig({ DOCKER_HOST, PODMAN_HOST, PYTHON_BASE_IMAGE, NODE_BASE_IMAGE, ...settings });
}

export function newInstanceId(): string {
  return randomBytes(6).toString('hex');
}

export function engineOptions(instanceId: string, level: SecurityLevel = 'basic'): DetectOptions {
  // Set past the checks of a configuration: what a level demands of the other settings is not the business of a backend.
  return detectOptions(
    { ...engineConfig(), SECURITY_LEVEL: level },
    { instanceId, onProgress: () => {}, onEngineError: () => {} },
  );
}

/** What there is of a gateway in an engine. */
async function tracesIn({ docker }: EngineClient, instanceId: string): Promise<Traces> {
  const filters = { label: [`${OWNER_LABEL}=${instanceId}`] };
  const left = await docker.listContainers({ all: true, filters });
  return { sandboxes: left.map(({ Id, State }) => `container ${Id.slice(0, 12)} (${State})`), gateway: [] };
}

/** Looking again at what is left must not cost what connecting does: Podman asks the host who packaged its programs. */
const clients = new Map<EngineKind, Promise<EngineClient>>();

function clientFor(kind: EngineKind, host: string | undefined): Promise<EngineClient> {
  let connected = clients.get(kind);
  if (connected === undefined) {
    connected = EngineClient.connect(kind, { host });
    clients.set(kind, connected);
    connected.catch(() => clients.delete(kind));
  }
  return connected;
}

/** What there is of a gateway in the Docker engine, and in Podman where there is one. */
export async function tracesOfContainers(instanceId: string): Promise<Traces> {
  const { DOCKER_HOST, PODMAN_HOST } = engineConfig();
  const places: [EngineKind, string | undefined][] = [['docker', DOCKER_HOST]];
  if (PODMAN_HOST !== undefined) places.push(['podman', PODMAN_HOST]);
  const found = places.map(async ([kind, host]) => {
    const client = await clientFor(kind, host);
    return (await tracesIn(client, instanceId)).sandboxes;
  });
  // An engine that this machine does not have has nothing of anybody.
  const nothing = (error: unknown) => {
    if (error instanceof EngineAway) return [];
    throw error;
  };
  const sandboxes = await Promise.all(found.map((looking) => looking.catch(nothing)));
  return { sandboxes: sandboxes.flat(), gateway: [] };
}

async function openContainers(
  kind: EngineKind,
  wanted: WantedRuntime,
  instanceId = newInstanceId(),
  level?: SecurityLevel,
): Promise<OpenEngine> {
  const options = engineOptions(instanceId, level)[kind];
  const launcher = await DockerLauncher.connect(options, wanted);
  const client = await EngineClient.connect(kind, options);
  return {
    backend: new AgentBackend(launcher),
    instanceId,
    traces: () => tracesIn(client, instanceId),
    killFromOutside: (sandbox) => client.docker.getContainer(sandbox.id).kill(),
  };
}

async function openBubblewrap(
  useCgroups: boolean | undefined,
  instanceId = newInstanceId(),
  level?: SecurityLevel,
) {
  const { bubblewrap } = engineOptions(instanceId, level);
  const launcher = await BubblewrapLauncher.connect({
    ...bubblewrap,
    ...(useCgroups !== undefined && { useCgroups }),
  });
  const engine: OpenEngine = {
    backend: new AgentBackend(launcher),
    instanceId,
    traces: async () => tracesOfBubblewrap(instanceId),
    killFromOutside: () => killBubblewrap(instanceId),
  };
  return { engine, launcher };
}

async function containers(
  name: EngineName,
  mode: EngineKind,
  wanted: WantedRuntime,
  settings: Record<string, string>,
): Promise<Engine> {
  const unavailable = await reasonAgainst(async () => {
    const launcher = await DockerLauncher.connect(engineOptions(newInstanceId())[mode], wanted);
    await launcher.close();
  });
  const open: Engine['open'] = (...which) => openContainers(mode, wanted, ...which);
  return { name, mode, settings: { ISOLATION_MODE: mode, ...settings }, unavailable, open };
}

/** @param useCgroups `undefined` takes what a gateway would take */
async function bubblewrap(name: EngineName, useCgroups: boolean | undefined): Promise<Engine> {
  const unavailable = await reasonAgainst(async () => {
    const { engine, launcher } = await openBubblewrap(useCgroups);
    await engine.backend.close();
    if (useCgroups && !launcher.limiter.startsWith('cgroup'))
      throw new Error('control groups cannot be written here');
  });
  const open: Engine['open'] = async (...which) => (await openBubblewrap(useCgroups, ...which)).engine;
  return { name, mode: 'bubblewrap', settings: BUBBLEWRAP, unavailable, open };
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
  const open: Engine['open'] = async (...which) => (await openBubblewrap(undefined, ...which)).engine;
  const name = 'bubblewrap as an ordinary user';
  return { name, mode: 'bubblewrap', settings: BUBBLEWRAP, unavailable, open };
}

async function reasonAgainst(probe: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await probe();
    return undefined;
  } catch (error) {
    return messageOf(error).trim().split('\n').at(-1);
  }
}

const looks = new Map<EngineName, Promise<Engine>>();

/** Looks, by doing it and once in a process, at one of the ways of isolating that the suites run on. */
export function findEngine(name: EngineName): Promise<Engine> {
  const look = looks.get(name) ?? lookFor(name);
  looks.set(name, look);
  return look;
}

function lookFor(name: EngineName): Promise<Engine> {
  switch (name) {
    case 'docker+runsc':
      return containers(name, 'docker', 'gvisor', { RUNTIME: 'gvisor' });
    case 'docker':
      return containers(name, 'docker', { name: 'runc' }, { RUNTIME: 'runc' });
    case 'podman':
      return containers(name, 'podman', 'default', {});
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
  'docker+runsc',
  'docker',
  'podman',
  'bubblewrap with control groups',
  'bubblewrap with the resource manager',
  'bubblewrap as an ordinary user',
];
