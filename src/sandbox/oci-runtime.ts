import type { Kernel } from '../core/isolation.ts';
import type { EngineClient, EngineInfo, ListedRuntime } from './engine-client.ts';
import { IsolationRefused } from './refused.ts';

/** Which OCI runtime is asked for: whichever is gVisor, the engine's own choice, or one by the engine's name for it. */
export type WantedRuntime = 'gvisor' | 'default' | { name: string };

/** An OCI runtime to start containers with. What it says it is has to be proved. */
export interface OciRuntime {
  name: string;
  /** The engine does not take it by itself. */
  isNamed: boolean;
  /** The kernel that its name promises. */
  promises: Kernel;
  /** It shares the engine's kernel by design, and the engine uses it anyway: there is nothing to find out. */
  isPlain: boolean;
}

/** The engine does not have the runtime, or it is not what it says. */
export class NoSuchRuntime extends IsolationRefused {
  override readonly name = 'NoSuchRuntime';
}

export const GVISOR_REMEDY =
  'Install gVisor (https://gvisor.dev/docs/user_guide/install/), then: runsc install, and restart the engine.';

/**
 * Finds among the engine's runtimes the one that is wanted, by its name or program.
 * @throws NoSuchRuntime
 */
export function chooseRuntime({ kind, info }: Pick<EngineClient, 'kind' | 'info'>, wanted: WantedRuntime) {
  return kind === 'podman' ? podmanRuntime(info, wanted) : dockerRuntime(info, wanted);
}

function dockerRuntime(info: EngineInfo, wanted: WantedRuntime): OciRuntime {
  const listed = info.Runtimes ?? {};
  const names = Object.keys(listed);
  const gvisors = names.filter((name) => saysGvisor(name, listed[name]));
  if (wanted === 'gvisor') {
    const name = ['runsc', 'gvisor'].find((known) => gvisors.includes(known)) ?? gvisors[0];
    if (name === undefined)
      throw new NoSuchRuntime('the engine has no gVisor among its runtimes', GVISOR_REMEDY);
    return described(info, name);
  }
  if (wanted !== 'default') {
    // A shim of containerd may be named by its type, without being listed.
    if (!names.includes(wanted.name) && !wanted.name.includes('.')) {
      const remedy = `RUNTIME names one of: ${names.join(', ')}; or add it to "runtimes" in the engine's daemon.json.`;
      throw new NoSuchRuntime(`the engine has no runtime named ${wanted.name}`, remedy);
    }
    return described(info, wanted.name);
  }
  // One that says that it is gVisor has been tried before, and was refused.
  const isLiar = gvisors.includes(info.DefaultRuntime) && names.includes('runc');
  return described(info, isLiar ? 'runc' : info.DefaultRuntime);
}

/** Podman's list has whatever it has ever heard of, and its Docker-compatible API takes no runtime: it runs all with its own. */
function podmanRuntime(info: EngineInfo, wanted: WantedRuntime): OciRuntime {
  const own = described(info, info.DefaultRuntime.split('/').at(-1)!);
  if (wanted === 'default') return own;
  const isWanted = wanted === 'gvisor' ? own.promises === 'gvisor' : own.name === wanted.name;
  if (isWanted) return own;
  const name = wanted === 'gvisor' ? 'runsc' : wanted.name;
  const message = `Podman runs every container with ${own.name}: its API takes no other runtime`;
  throw new NoSuchRuntime(message, `Set runtime = "${name}" under [engine] in its containers.conf.`);
}

function described(info: EngineInfo, name: string): OciRuntime {
  const isOwn = name === info.DefaultRuntime.split('/').at(-1);
  const promises = saysGvisor(name, info.Runtimes?.[name]) ? 'gvisor' : 'host';
  return { name, isNamed: !isOwn, promises, isPlain: isOwn && (name === 'runc' || name === 'crun') };
}

function saysGvisor(name: string, { path = '', runtimeType = '' }: ListedRuntime = {}): boolean {
  return /^(runsc|gvisor)\b/.test(name) || /(^|\/)runsc$/.test(path) || /\brunsc\b/.test(runtimeType);
}
