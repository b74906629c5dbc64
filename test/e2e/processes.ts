import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Engine, tracesOfContainers } from '../engines.ts';
import { eventuallyNone, tracesOfBubblewrap } from '../traces.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const CLI = join(ROOT, 'src/cli/main.ts');
const DEADLINE_MS = 60_000;
const DISPOSE_MS = 15_000;
const POLL_MS = 10;

export interface Ended {
  /** `null` when a signal ended it. */
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A directory that is gone after the test. */
export class TempDir implements Disposable {
  readonly path: string;

  constructor(parent: string = tmpdir()) {
    this.path = mkdtempSync(join(parent, 'cronium-test-'));
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Where `bin/cronium` keeps compiled code, too: compiling it anew would be most of what the many short commands do. */
const COMPILE_CACHE = join(ROOT, 'node_modules/.cache/cronium');

/** What a command gets of this process's environment: nothing that configures a gateway by accident. */
export function cleanEnv(): Record<string, string> {
  const kept = [
    'PATH',
    'HOME',
    'TMPDIR',
    'DOCKER_HOST',
    'PODMAN_HOST',
    'PYTHON_BASE_IMAGE',
    'NODE_BASE_IMAGE',
  ];
  const env = kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]));
  return { ...Object.fromEntries(env), NODE_COMPILE_CACHE: COMPILE_CACHE };
}

/** The machine's own programs, without those that npm puts in front of them for the tests. */
export function machinePath(): string {
  const entries = process.env.PATH!.split(':');
  return entries.filter((entry) => !entry.includes('node_modules')).join(':');
}

export interface StartOptions {
  env?: Record<string, string>;
  cwd?: string;
}

/** A real child process, with all that it printed. */
export class Process implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  stdout = '';
  stderr = '';

  constructor(command: readonly string[], { env = cleanEnv(), cwd = ROOT }: StartOptions = {}) {
    const stdio = ['pipe', 'pipe', 'pipe'] as const;
    // A group of its own, as a shell makes for what it starts from a terminal.
    this.child = spawn(command[0]!, command.slice(1), { env, cwd, detached: true, stdio: [...stdio] });
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    // Whoever ends before it has read its input breaks the pipe.
    this.child.stdin!.on('error', () => {});
    // A test that runs out of time never comes to its own end.
    const kill = () => this.child.kill('SIGKILL');
    process.once('exit', kill);
    this.child.once('close', () => process.off('exit', kill));
    this.ended = once(this.child, 'close').then(([code]) => ({
      code: code as number | null,
      stdout: this.stdout,
      stderr: this.stderr,
    }));
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** As a terminal does for Ctrl-C: to all that the process started, too, as far as it stayed in its group. */
  signalGroup(signal: NodeJS.Signals): void {
    process.kill(-this.child.pid!, signal);
  }

  /** Waits until the condition gives something. @throws Error with what was printed when it never does */
  async until<T>(what: string, condition: () => T | undefined | false, timeoutMs = DEADLINE_MS): Promise<T> {
    for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; await sleep(POLL_MS)) {
      const found = condition();
      if (found) return found;
      if (!this.running) break;
    }
    const { exitCode, signalCode } = this.child;
    const state = signalCode ?? (exitCode === null ? 'running' : `ended with ${exitCode}`);
    throw new Error(`no ${what} (${state}); it printed:\n${this.stdout}\n${this.stderr}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // After a test that failed: asked first, so that it takes away what it has made.
    if (this.running) this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), DISPOSE_MS);
    await this.ended;
    clearTimeout(timer);
  }
}

export interface GatewayOptions extends StartOptions {
  dataDir: string;
  /** `docker` is Docker with runc; other settings of an engine go into `env`. */
  mode?: 'auto' | Engine['mode'];
  /** Further arguments of `serve`. */
  args?: string[];
  /** What runs the command line. */
  command?: string[];
}

/** `serve` with its own DATA_DIR on a free port, and one warm sandbox per runtime. */
export class GatewayProcess extends Process {
  readonly dataDir: string;

  constructor({
    dataDir,
    mode = 'auto',
    args = [],
    command = [process.execPath, CLI],
    env = {},
    ...options
  }: GatewayOptions) {
    const settings = { DATA_DIR: dataDir, ISOLATION_MODE: mode, PORT: '0', POOL_TARGET: '1' };
    const runtime = mode === 'docker' ? { RUNTIME: 'runc' } : {};
    super([...command, 'serve', ...args], {
      ...options,
      env: { ...cleanEnv(), ...settings, ...runtime, ...env },
    });
    this.dataDir = dataDir;
  }

  /** Resolves with its URL when it listens. */
  listening(): Promise<string> {
    return this.until('URL', () => /"url":"([^"]+)"/.exec(this.stderr)?.[1]);
  }

  /** Resolves with its URL when its pools are warm. */
  async warm(): Promise<string> {
    const url = await this.listening();
    for (const deadline = Date.now() + DEADLINE_MS; Date.now() < deadline; await sleep(POLL_MS)) {
      if ((await fetch(`${url}/readyz`)).ok) return url;
    }
    throw new Error(`never warm; it printed:\n${this.stderr}`);
  }
}

export function instanceIdOf(dataDir: string): string {
  return readFileSync(join(dataDir, 'instance-id'), 'utf8').trim();
}

/** All there is of a gateway's sandboxes on any backend, after a while for what is on its way out. */
export function leftOf(dataDir: string): Promise<string[]> {
  return eventuallyNone(() => tracesOf(dataDir));
}

/** What there is of a gateway when nothing comes and goes any more: a gateway that serves still tests itself, in sandboxes of their own. */
export async function settledTraces(dataDir: string): Promise<string[]> {
  for (let last: string | undefined; ; await sleep(1_000)) {
    const now = (await tracesOf(dataDir)).sort();
    if (now.join() === last) return now;
    last = now.join();
  }
}

export async function tracesOf(dataDir: string): Promise<string[]> {
  const id = instanceIdOf(dataDir);
  const bubblewrap = tracesOfBubblewrap(id);
  const containers = await tracesOfContainers(id);
  return [...bubblewrap.sandboxes, ...bubblewrap.gateway, ...containers.sandboxes];
}

export function run(
  command: readonly string[],
  options: StartOptions & { input?: string } = {},
): Promise<Ended> {
  const child = new Process(command, options);
  child.child.stdin!.end(options.input ?? '');
  return child.ended;
}

/** One command of the command line, in the configuration of a gateway. */
export function cronium(
  args: readonly string[],
  env: Record<string, string> = {},
  options: { input?: string; cwd?: string } = {},
): Promise<Ended> {
  return run([process.execPath, CLI, ...args], { ...options, env: { ...cleanEnv(), ...env } });
}
