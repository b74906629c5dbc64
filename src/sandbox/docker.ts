import { randomBytes } from 'node:crypto';
import type Docker from 'dockerode';
import type { Runtime } from '../core/event.ts';
import { isAtLeast, type Kernel, type SecurityLevel } from '../core/isolation.ts';
import type { SandboxSpec } from '../core/sandbox.ts';
import { unlessAborted } from '../unless-aborted.ts';
import { AgentBackend } from './backend.ts';
import {
  confinedBy,
  confinementNotes,
  demandProfile,
  type HostConfinement,
  hostConfinement,
  type WantedProfile,
  wantedProfile,
} from './confinement.ts';
import { ranOutOfMemory } from './container-end.ts';
import { Dialect, GVISOR_OVERHEAD_BYTES } from './dialect.ts';
import { attach } from './docker-stream.ts';
import { answered, EngineClient, type EngineKind, statusOf } from './engine-client.ts';
import { containerOptions } from './hardening.ts';
import { Images, type ImagesOptions } from './images.ts';
import { proveKernel } from './kernel-proof.ts';
import type { Launched, Launcher } from './launcher.ts';
import { demandKernel, proveLevel } from './level-proof.ts';
import {
  chooseRuntime,
  GVISOR_REMEDY,
  NoSuchRuntime,
  type OciRuntime,
  type WantedRuntime,
} from './oci-runtime.ts';
import { ownContainers } from './own-containers.ts';
import { PROOF_SPEC } from './proof.ts';
import { IsolationRefused } from './refused.ts';
import { REMOVAL_TIMEOUT_MS, Removals } from './removals.ts';
import { seccompProfile } from './seccomp/profile.ts';
import { ProfileFile } from './seccomp/profile-file.ts';
import { Tail } from './tail.ts';
import { type TakenUid, Uids } from './uids.ts';

export interface DockerOptions extends ImagesOptions {
  engine: EngineKind;
  /** A URL, as for the docker and podman commands; their default when not given. */
  host: string | undefined;
  /** Folder with the certificates for TLS; without one there is no TLS. */
  certPath: string | undefined;
  /** Marks this gateway's containers, and survives its restarts. */
  instanceId: string;
  limitsEnabled: boolean;
  level: SecurityLevel;
  /** An AppArmor profile that must be had; when not given, the own one is taken where it is loaded. */
  appArmorProfile: string | undefined;
  onEngineError: (error: unknown) => void;
}

const SWEEP_TIMEOUT_MS = 5_000;

/** Sandboxes as containers of an engine that speaks Docker's API, with nothing of this host mounted. */
export class DockerLauncher implements Launcher {
  readonly isolation: string;
  readonly level: SecurityLevel;
  readonly #engine: EngineClient;
  readonly #runtime: OciRuntime;
  readonly #images: Images;
  readonly #options: DockerOptions;
  readonly #dialect: Dialect;
  readonly #removals: Removals;
  readonly #uids = new Uids();
  readonly #profile: ProfileFile;
  readonly #host: HostConfinement;
  readonly #appArmor: WantedProfile | undefined;
  /** As it was seen from inside a sandbox. */
  #label: string | undefined;
  #kernel: Kernel;

  private constructor(engine: EngineClient, runtime: OciRuntime, options: DockerOptions) {
    this.#engine = engine;
    this.#runtime = runtime;
    this.#options = options;
    this.level = options.level;
    this.#images = new Images(engine.docker, options);
    this.#dialect = new Dialect(engine.kind);
    this.#profile = new ProfileFile(seccompProfile(options.level), options.instanceId);
    this.#removals = new Removals(engine, options.onEngineError);
    this.#kernel = runtime.promises;
    this.#host = hostConfinement(engine.info);
    this.#appArmor = wantedProfile(options.appArmorProfile, options.level, this.#host);
    this.isolation = `${engine.kind}+${runtime.name}`;
  }

  /**
   * @param wanted what to start containers with; all but the engine's own runc or crun is booted and looked at from inside
   * @throws EngineAway, IsolationRefused, or an Error saying why the engine cannot be used
   */
  static async connect(options: DockerOptions, wanted: WantedRuntime = 'default'): Promise<DockerLauncher> {
    const engine = await EngineClient.connect(options.engine, options);
    let launcher: DockerLauncher | undefined;
    try {
      if (options.limitsEnabled && engine.info.MemoryLimit === false)
        throw new IsolationRefused(
          'the engine cannot bound the memory of a container: its host has no control group for it',
          'Enable the memory control group there; RESOURCE_LIMITS_ENABLED=false goes without limits.',
        );
      launcher = new DockerLauncher(engine, chooseRuntime(engine, wanted), options);
      if (!launcher.#runtime.isPlain) await launcher.#prove();
      demandKernel(options.level, launcher.kernel);
      await proveLevel(new AgentBackend(launcher));
      await launcher.#proveProfile();
      return launcher;
    } catch (error) {
      // With what it has booted, and would try to remove for ever.
      if (launcher === undefined) engine.close();
      else {
        await launcher.close();
        launcher.#demandLoaded();
      }
      throw error;
    }
  }

  get kernel(): Kernel {
    return this.#kernel;
  }

  get notes(): string[] {
    return confinementNotes(this.#host, this.#kernel, this.level, this.#appArmor, this.#label);
  }

  /** @throws NotConfined when the AppArmor profile that is demanded is not in force */
  async #proveProfile(): Promise<void> {
    const wanted = this.#appArmor;
    // gVisor's kernel knows of no profile, and an engine that has not loaded ours has said so by now.
    if (
      wanted === undefined ||
      (!wanted.isDemanded && (this.#kernel !== 'host' || this.#profileName() === undefined))
    )
      return;
    this.#label = await confinedBy(new AgentBackend(this));
    demandProfile(wanted, this.#label);
  }

  /** @throws NotConfined when it is for want of the profile that is demanded that nothing boots */
  #demandLoaded(): void {
    if (this.#appArmor !== undefined && this.#dialect.lacksAppArmorProfile)
      demandProfile(this.#appArmor, undefined);
  }

  #profileName(): string | undefined {
    if (this.#appArmor === undefined) return undefined;
    return this.#appArmor.isDemanded || !this.#dialect.lacksAppArmorProfile ? this.#appArmor.name : undefined;
  }

  /** @throws NoSuchRuntime when the runtime is not what its name promises */
  async #prove(): Promise<void> {
    const { name, promises } = this.#runtime;
    const backend = new AgentBackend(this);
    const { kernel, release, memoryBytes } = await proveKernel(backend, this.#engine.info.KernelVersion);
    if (promises === 'gvisor' && kernel !== 'gvisor')
      throw new NoSuchRuntime(
        `the runtime ${name} is not gVisor: a sandbox that it booted runs on the kernel ${release}`,
        GVISOR_REMEDY,
      );
    this.#kernel = kernel;
    // gVisor takes what its control group allows for all the memory that there is, and without one the host's.
    if (
      kernel === 'gvisor' &&
      this.#options.limitsEnabled &&
      !(memoryBytes! <= PROOF_SPEC.memoryBytes + GVISOR_OVERHEAD_BYTES)
    )
      throw new NoSuchRuntime(
        `the runtime ${name} does not bound the memory of its sandboxes`,
        'Take --ignore-cgroups out of its runtimeArgs, or set RESOURCE_LIMITS_ENABLED=false.',
      );
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
      await answered(tidied, this.#engine.kind, REMOVAL_TIMEOUT_MS).catch(() => {});
      throw error;
    });
  }

  async #launch(spec: SandboxSpec, signal: AbortSignal): Promise<Launched> {
    const user = this.#uids.take();
    for (;;) {
      const { learnt } = this.#dialect;
      let container: Docker.Container | undefined;
      try {
        const created = await this.#create(spec, user.uid);
        container = created.container;
        signal.throwIfAborted();
        return await this.#start(container, created.image, user, signal);
      } catch (error) {
        if (container !== undefined) await this.#removals.remove(container.id);
        this.#dialect.learnFrom(error);
        if (this.#dialect.learnt !== learnt && !signal.aborted) continue;
        user.release();
        signal.throwIfAborted();
        throw error;
      }
    }
  }

  async #start(
    container: Docker.Container,
    image: string,
    user: TakenUid,
    signal: AbortSignal,
  ): Promise<Launched> {
    if (this.#dialect.attachesAfterStart) await container.start();
    const stderr = new Tail();
    const channel = await attach(container, (chunk) => stderr.append(chunk));
    const ended = new Promise<void>((resolve) => channel.once('close', resolve));
    try {
      if (!this.#dialect.attachesAfterStart) await container.start();
      signal.throwIfAborted();
    } catch (error) {
      // It is no connection of the engine's client any more: nobody else would end it.
      channel.destroy();
      throw error;
    }
    return {
      id: container.id,
      image,
      channel,
      ended,
      stderr: () => stderr.text(),
      kill: () => {
        channel.destroy();
        return this.#removals.remove(container.id).then(user.release);
      },
      ranOutOfMemory: () => ranOutOfMemory(container, channel.readableEnded || channel.destroyed),
    };
  }

  async sweep(): Promise<number> {
    const left = await ownContainers(this.#engine.docker, this.#options.instanceId);
    await Promise.all(left.map((id) => this.#removals.remove(id)));
    await this.#profile.sweep();
    return left.length;
  }

  async close(): Promise<void> {
    await this.#removals.close();
    await answered(this.sweep(), this.#engine.kind, SWEEP_TIMEOUT_MS).catch(this.#options.onEngineError);
    await this.#profile.remove();
    this.#engine.close();
  }

  /** `undefined` where the engine's own is right, or the kernel is gVisor's, which filters by itself what reaches the host. */
  async #seccompProfile(): Promise<string | undefined> {
    if (!isAtLeast(this.level, 'enhanced') || this.#kernel === 'gvisor') return undefined;
    return this.#dialect.readsProfileFromFile ? this.#profile.path() : this.#profile.text;
  }

  async #create(
    spec: SandboxSpec,
    uid: number,
    retried = false,
  ): Promise<{ container: Docker.Container; image: string }> {
    const { instanceId, limitsEnabled, level } = this.#options;
    const image = await this.#images.ensure(spec.runtime);
    const name = `cronium-${spec.runtime}-${randomBytes(8).toString('hex')}`;
    const { docker, info } = this.#engine;
    const plan = { image, name, spec, uid, instanceId, limitsEnabled, engineCpus: info.NCPU, level };
    const seccomp = await this.#seccompProfile();
    const options = containerOptions({ ...plan, seccomp, appArmor: this.#profileName() });
    try {
      const adapted = this.#dialect.adapt(options, spec, this.#runtime, this.#kernel);
      return { container: await docker.createContainer(inBodyAlone(adapted)), image };
    } catch (error) {
      // Whether an engine that went away in the middle has made it, only another look can tell.
      if (statusOf(error) === undefined) this.#removals.remove(name);
      if (retried || statusOf(error) !== 404) throw error;
      this.#images.forget(spec.runtime);
      return this.#create(spec, uid, true);
    }
  }
}

/** By itself the library sends it all twice, in the query too, which has no room for a seccomp profile. */
function inBodyAlone({ name, ...body }: Docker.ContainerCreateOptions): Docker.ContainerCreateOptions {
  const parts = { _query: { name }, _body: body };
  return parts as Docker.ContainerCreateOptions;
}
