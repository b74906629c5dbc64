import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { detectOptions } from '../../src/compose/detect-options.ts';
import type { Runtime } from '../../src/core/event.ts';
import type { SecurityLevel } from '../../src/core/isolation.ts';
import type { SandboxBackend, SandboxSpec } from '../../src/core/sandbox.ts';
import { baseImages, RUNTIMES_DIR } from '../../src/engine-config.ts';
import { AgentBackend } from '../../src/sandbox/backend.ts';
import { DockerLauncher } from '../../src/sandbox/docker.ts';
import type { EngineKind } from '../../src/sandbox/engine-client.ts';
import { ownImages } from '../../src/socket-proxy/own-images.ts';
import { SocketProxy } from '../../src/socket-proxy/server.ts';
import { HostBait } from '../attack/escapes/bait.ts';
import type { Verdict } from '../attack/escapes/table.ts';
import { tryEveryWay } from '../attack/escapes/try.ts';
import { callOf, runIn, smallSpec } from '../contract/calls.ts';
import { EATS } from '../contract/hogs.ts';
import { engineConfig, newInstanceId } from '../engines.ts';

/** By which profile it is confined. */
const LABEL_OF = {
  nodejs:
    'const { readFileSync } = require("node:fs"); exports.handler = () => readFileSync("/proc/self/attr/current", "utf8").trim();',
  bash: 'cronium output "\\"$(cat /proc/self/attr/current)\\""',
} as const;

/** That, and what comes of writing into its own memory past the protection of its pages, as exploits of the kernel do. */
const LABEL_AND_MEMORY = `
import ctypes, errno, os
def written():
    buffer = ctypes.create_string_buffer(b"before")
    try:
        memory = os.open("/proc/self/mem", os.O_RDWR)
        os.pwrite(memory, b"after!", ctypes.addressof(buffer))
    except OSError as error:
        return errno.errorcode[error.errno]
    return buffer.value.decode()
def handler(event, context):
    return [open("/proc/self/attr/current").read().strip(), written()]
`;

/** As a gateway of these settings connects, and what it then says. */
export interface Connected {
  kernel: string;
  notes: readonly string[];
}

async function connected<T extends object>(
  kind: EngineKind,
  level: SecurityLevel,
  use: (backend: SandboxBackend) => Promise<T>,
  settings: Record<string, string> = {},
  host?: string,
): Promise<Connected & T> {
  const own = { instanceId: newInstanceId(), onProgress: () => {}, onEngineError: () => {} };
  const options = detectOptions({ ...engineConfig(settings), SECURITY_LEVEL: level }, own)[kind];
  const runtime = settings.RUNTIME === 'gvisor' ? 'gvisor' : 'default';
  const launcher = await DockerLauncher.connect({ ...options, host: host ?? options.host }, runtime);
  const { kernel, notes } = launcher;
  const backend = new AgentBackend(launcher);
  try {
    return { kernel, notes, ...(await use(backend)) };
  } finally {
    await backend.close();
  }
}

/** What a function answers, or the code of its failure. */
export async function run(
  backend: SandboxBackend,
  runtime: Runtime,
  code: string,
  over: Partial<SandboxSpec> = {},
): Promise<unknown> {
  const sandbox = await backend.create(smallSpec(runtime, over), AbortSignal.timeout(60_000));
  try {
    const { outcome } = await runIn(sandbox, callOf(code));
    return outcome.status === 'failed' ? outcome.failure.code : outcome.result?.value;
  } finally {
    await sandbox.destroy();
  }
}

export interface Confined extends Connected {
  /** The label of a Python function, and what came of writing into its own memory. */
  python: unknown;
}

export const confined = (kind: EngineKind): Promise<Confined> =>
  connected(kind, 'enhanced', async (backend) => ({
    python: await run(backend, 'python', LABEL_AND_MEMORY),
  }));

/** At basic, where nothing but the demand asks for a profile. */
export const demanded = (kind: EngineKind, profile: string): Promise<Connected & { memory: unknown }> =>
  connected(kind, 'basic', async (backend) => ({ memory: await run(backend, 'python', EATS) }), {
    APPARMOR_PROFILE: profile,
  });

export const paranoid = (): Promise<Connected> =>
  connected('docker', 'paranoid', async () => ({}), { RUNTIME: 'gvisor' });

export interface Attacked extends Confined {
  nodejs: unknown;
  bash: unknown;
  verdicts: Record<string, Verdict>;
  isUntouched: boolean;
  /** What the proxy let not through. */
  denied: string[];
}

/** All that a function may try, behind the socket proxy. */
export async function attacked(): Promise<Attacked> {
  const dir = mkdtempSync(join(tmpdir(), 'machine-'));
  const listen = join(dir, 'proxy.sock');
  const denied: string[] = [];
  const host = await HostBait.lay();
  await using _ = await SocketProxy.listen({
    listen,
    engine: new URL(engineConfig().DOCKER_HOST!).pathname,
    images: await ownImages(RUNTIMES_DIR, baseImages(engineConfig())),
    onDenied: (reason) => denied.push(reason),
  });
  const tryAll = async (backend: SandboxBackend) => ({
    python: await run(backend, 'python', LABEL_AND_MEMORY),
    nodejs: await run(backend, 'nodejs', LABEL_OF.nodejs),
    bash: await run(backend, 'bash', LABEL_OF.bash),
    verdicts: Object.fromEntries(await tryEveryWay(backend, host)),
    isUntouched: host.isUntouched,
    denied,
  });
  try {
    return await connected('docker', 'enhanced', tryAll, {}, `unix://${listen}`);
  } finally {
    await host.remove();
    rmSync(dir, { recursive: true });
  }
}
