import { randomInt } from 'node:crypto';
import { access, constants } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SecurityLevel } from '../core/isolation.ts';
import type { SandboxSpec } from '../core/sandbox.ts';
import { AgentBackend } from './backend.ts';
import { bubblewrapArgs, confined } from './bubblewrap-args.ts';
import { Stage } from './bubblewrap-stage.ts';
import { type Cgroup, type Cgroups, detectCgroups } from './cgroups.ts';
import { WITHOUT_APPARMOR } from './confinement.ts';
import type { Launched, Launcher } from './launcher.ts';
import { demandKernel, proveLevel } from './level-proof.ts';
import { childrenOf, isAlive, parentOf, processesRunning, signalProcess } from './process-tree.ts';
import { IsolationRefused } from './refused.ts';
import { ResourceManager, type Watch } from './resource-manager.ts';
import { type Spawned, Spawner } from './spawner.ts';
import { noSandboxHere } from './user-namespaces.ts';

export interface BubblewrapOptions {
  instanceId: string;
  runtimesDir: string;
  /** The Node.js binary that functions run on. */
  node: string;
  limitsEnabled: boolean;
  level: SecurityLevel;
  /** It cannot give one: what demands it is refused. */
  appArmorProfile: string | undefined;
  /** For hosts where control groups are writable and must not be used. */
  useCgroups?: boolean;
}

/** Far above the users of any host, so that what a sandbox runs as owns nothing outside. */
const FIRST_OUTER_UID = 2_000_000_000;
const OUTER_UIDS = 100_000;
const BWRAP = '/usr/bin/bwrap';
const REQUIRED = [BWRAP, '/usr/bin/python3', '/usr/bin/prlimit', '/usr/bin/bash'];
const PROBE_TIMEOUT_MS = 10_000;
const GONE_POLL_MS = 2;
const GONE_TIMEOUT_MS = 5_000;

/** Sandboxes as process trees in namespaces of their own, by bubblewrap: for hosts without a container engine. */
export class BubblewrapLauncher implements Launcher {
  readonly isolation = 'bubblewrap';
  readonly kernel = 'host';
  readonly level: SecurityLevel;
  readonly #options: BubblewrapOptions;
  readonly #stage: Stage;
  readonly #spawner: Spawner;
  readonly #cgroups: Cgroups | undefined;
  readonly #manager = new ResourceManager();
  readonly #live = new Set<BubblewrapSandbox>();
  /** Whether bwrap is started as a user that owns nothing, which needs root to begin with. */
  #dropsUser: boolean;
  #launches = randomInt(OUTER_UIDS);

  private constructor(
    options: BubblewrapOptions,
    stage: Stage,
    spawner: Spawner,
    cgroups: Cgroups | undefined,
  ) {
    this.#options = options;
    this.level = options.level;
    this.#stage = stage;
    this.#spawner = spawner;
    this.#cgroups = cgroups;
    this.#dropsUser = process.getuid?.() === 0;
  }

  /** @throws IsolationRefused, or an Error naming what this host lacks */
  static async connect(options: BubblewrapOptions): Promise<BubblewrapLauncher> {
    if (process.platform !== 'linux')
      throw new IsolationRefused('bubblewrap needs Linux', 'Use a container engine: Docker or Podman.');
    if (options.appArmorProfile !== undefined)
      throw new IsolationRefused(
        `it gives no AppArmor profile, and APPARMOR_PROFILE=${options.appArmorProfile} asks for one`,
        WITHOUT_APPARMOR,
      );
    for (const path of REQUIRED) {
      await access(path, constants.X_OK).catch(() => {
        throw new Error(`${path} is missing`);
      });
    }
    // What fails midway leaves nothing of what was made before it.
    await using made = new AsyncDisposableStack();
    const cgroups =
      options.limitsEnabled && options.useCgroups !== false
        ? detectCgroups(`cronium-${options.instanceId}`)
        : undefined;
    made.defer(() => cgroups?.close());
    await Stage.sweep(options.instanceId);
    const stage = await Stage.create(options);
    made.defer(() => stage.remove());
    const spawner = await Spawner.start(stage.directory);
    const launcher = new BubblewrapLauncher(options, stage, spawner, cgroups);
    made.move();
    try {
      demandKernel(options.level, launcher.kernel);
      await launcher.#prove();
      await proveLevel(new AgentBackend(launcher));
      return launcher;
    } catch (error) {
      await launcher.close();
      throw error;
    }
  }

  /** What bounds memory, processes and processor time here. */
  get limiter(): 'cgroup-v1' | 'cgroup-v2' | 'resource-manager' | 'none' {
    if (!this.#options.limitsEnabled) return 'none';
    return this.#cgroups === undefined ? 'resource-manager' : `cgroup-v${this.#cgroups.version}`;
  }

  async launch(spec: SandboxSpec, signal: AbortSignal): Promise<Launched> {
    signal.throwIfAborted();
    this.#launches += 1;
    const id = `bwrap-${this.#options.instanceId}-${this.#launches}`;
    const cgroup = this.#cgroups?.create(`${this.#launches}`, spec);
    const { limitsEnabled } = this.#options;
    const args = bubblewrapArgs(spec, this.#stage.files, limitsEnabled);
    const spawned = await this.#spawn([BWRAP, ...args], cgroup).catch(async (error) => {
      await cgroup?.remove();
      throw error;
    });
    const { pid } = spawned;
    const isWatched = cgroup === undefined && limitsEnabled && pid !== undefined;
    const watch = isWatched ? this.#manager.watch(pid, spec) : undefined;
    const sandbox = new BubblewrapSandbox(id, spawned, { cgroup, watch, orphans: () => this.#orphans() });
    this.#live.add(sandbox);
    sandbox.removed.then(() => this.#live.delete(sandbox));
    return sandbox;
  }

  /** What is warm dies with its gateway. What was booting may not have, and control groups and staged files are left. */
  async sweep(): Promise<number> {
    await end(this.#orphans());
    await this.#cgroups?.sweep();
    return 0;
  }

  async close(): Promise<void> {
    // What fails keeps nothing else from ending: a thread that stays would keep this process alive.
    await using parts = new AsyncDisposableStack();
    parts.defer(() => this.#stage.remove());
    parts.defer(() => this.#cgroups?.close());
    parts.defer(() => this.#spawner.close());
    await Promise.all([...this.#live].map((sandbox) => sandbox.kill()));
  }

  /** Starts the smallest sandbox there is, as an own user if that works and as this one if not. */
  async #prove(): Promise<void> {
    const failure = await this.#trial();
    if (failure === undefined) return;
    if (!this.#dropsUser) throw noSandboxHere(failure);
    this.#dropsUser = false;
    const second = await this.#trial();
    if (second !== undefined) throw noSandboxHere(second);
  }

  async #trial(): Promise<string | undefined> {
    const spec: SandboxSpec = {
      runtime: 'bash',
      memoryBytes: 2 ** 26,
      cpus: 1,
      pids: 16,
      tmpBytes: 2 ** 20,
      runBytes: 2 ** 20,
    };
    const { limitsEnabled } = this.#options;
    const args = bubblewrapArgs(spec, this.#stage.files, limitsEnabled);
    const command = args.slice(0, args.lastIndexOf('--') + 1);
    // `true` says nothing: what it leaves is either nothing or a reason.
    const spawned = await this.#spawn([BWRAP, ...command, '/bin/sh', '-c', 'echo ok >&2'], undefined);
    spawned.channel.resume().on('error', () => {});
    const timer = setTimeout(
      () => spawned.pid !== undefined && signalProcess(spawned.pid, 'SIGKILL'),
      PROBE_TIMEOUT_MS,
    );
    await spawned.ended;
    clearTimeout(timer);
    spawned.channel.destroy();
    const said = spawned.stderr().trim();
    return said === 'ok' ? undefined : said || 'it ended without a word';
  }

  /** Processes of bwrap with files of this gateway that neither this process nor another of them has started. */
  #orphans(): number[] {
    const staged = Stage.prefixOf(this.#options.instanceId);
    const own = processesRunning(BWRAP, (argument) => argument.startsWith(staged));
    const parents = new Set([process.pid, ...own]);
    return own.filter((pid) => !parents.has(parentOf(pid) ?? process.pid));
  }

  #spawn(command: readonly string[], cgroup: Cgroup | undefined): Promise<Spawned> {
    const uid = this.#dropsUser ? FIRST_OUTER_UID + (this.#launches % OUTER_UIDS) : undefined;
    const { filter } = this.#stage.files;
    const files = filter === undefined ? [] : [filter];
    return this.#spawner.spawn(confined(command, uid, cgroup?.directories ?? []), files);
  }
}

/** What of its launcher a sandbox needs to end. */
interface Surroundings {
  cgroup: Cgroup | undefined;
  watch: Watch | undefined;
  /** Of any sandbox: whoever finds one ends it. */
  orphans: () => number[];
}

class BubblewrapSandbox implements Launched {
  readonly id: string;
  /** Its root are files of the host, which change with its packages. */
  readonly image = null;
  readonly channel: Socket;
  readonly ended: Promise<void>;
  /** Resolves when nothing of it is left. */
  readonly removed: Promise<void>;
  readonly #process: Spawned;
  readonly #cgroup: Cgroup | undefined;
  readonly #watch: Watch | undefined;
  readonly #orphans: () => number[];
  readonly #markRemoved: () => void;
  #killing: Promise<void> | undefined;

  constructor(id: string, spawned: Spawned, { cgroup, watch, orphans }: Surroundings) {
    this.id = id;
    this.#process = spawned;
    this.#cgroup = cgroup;
    this.#watch = watch;
    this.#orphans = orphans;
    this.channel = spawned.channel;
    this.channel.on('error', () => {});
    this.ended = spawned.ended;
    const removed = Promise.withResolvers<void>();
    this.removed = removed.promise;
    this.#markRemoved = removed.resolve;
  }

  stderr(): string {
    return this.#process.stderr();
  }

  kill(): Promise<void> {
    this.#killing ??= this.#kill();
    return this.#killing;
  }

  async ranOutOfMemory(): Promise<boolean> {
    return this.#cgroup?.ranOutOfMemory() ?? this.#watch?.ranOutOfMemory() ?? false;
  }

  async #kill(): Promise<void> {
    this.#watch?.stop();
    const { pid, hasEnded } = this.#process;
    // Process 1 of the sandbox goes last: the kernel lets it go only when all others in its namespace have gone.
    const inner = pid === undefined || hasEnded ? [] : childrenOf(pid);
    for (const first of inner) signalProcess(first, 'SIGKILL');
    if (pid !== undefined && !hasEnded) signalProcess(pid, 'SIGKILL');
    this.channel.destroy();
    await this.ended;
    // Until its process 1 has asked to die with it, a supervisor that is killed leaves it behind.
    const orphans = this.#process.wasKilled && inner.length === 0 ? this.#orphans() : [];
    await end([...inner, ...orphans]);
    await this.#cgroup?.remove();
    this.#markRemoved();
  }
}

/** Kills processes, and resolves when they are gone. */
async function end(pids: readonly number[]): Promise<void> {
  for (const pid of pids) signalProcess(pid, 'SIGKILL');
  const deadline = Date.now() + GONE_TIMEOUT_MS;
  while (pids.some(isAlive) && Date.now() < deadline) await sleep(GONE_POLL_MS);
}
