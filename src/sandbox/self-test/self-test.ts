import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { Runtime } from '../../core/event.ts';
import { type IsolationGrade, isAtLeast } from '../../core/isolation.ts';
import type { Outcome, SandboxBackend, SandboxSpec } from '../../core/sandbox.ts';
import type { Check } from '../../core/self-test.ts';
import { MAX_OPEN_FILES } from '../hardening.ts';
import { runOnce } from '../trial.ts';
import { CHECK_IDS, type CheckId, PROMISES, type Rung } from './promises.ts';

/** Small, so that filling it up is quick, and with room for all processes: on gVisor each takes some megabytes. */
const SPEC: Omit<SandboxSpec, 'runtime' | 'pids'> = {
  memoryBytes: 160 * 2 ** 20,
  cpus: 1,
  tmpBytes: 8 * 2 ** 20,
  runBytes: 2 ** 20,
};
/** Node.js takes some twenty for its own threads. */
const PIDS: Readonly<Record<Runtime, number>> = { python: 24, bash: 24, nodejs: 48 };

/** What to try. Nothing of it is sent anywhere where there is no network. */
const EVENT = {
  bridges: ['172.17.0.1', '10.88.0.1'],
  readOnly: [
    '/',
    '/usr',
    '/etc',
    '/opt/cronium',
    '/var',
    '/var/tmp',
    '/home',
    '/root',
    '/dev',
    '/proc/sys/kernel',
    '/sys',
  ],
  sockets: [
    '/var/run/docker.sock',
    '/run/docker.sock',
    '/run/podman/podman.sock',
    '/run/containerd/containerd.sock',
    '/var/run/crio/crio.sock',
  ],
  files: MAX_OPEN_FILES,
  tmpBytes: SPEC.tmpBytes,
  memoryBytes: SPEC.memoryBytes,
};
/** Settings whose names show that an environment is the gateway's. */
const GATEWAY_MARKS = ['JWT_SECRET=', 'SECRETS_KEY=', 'SIGNING_KEY=', 'DATABASE_URL=', 'DATA_DIR='];

const findings = z.record(
  z.string(),
  z.object({ reached: z.boolean().nullable(), seen: z.string().max(4_096) }),
);
type Findings = z.output<typeof findings>;

/**
 * Boots a sandbox as functions of a runtime get it, tries from inside what must not work, and holds what it finds against what is
 * promised. The limit on memory comes last: where it holds, it ends the sandbox.
 * @throws GatewayError when no sandbox boots, Error when it could not be looked around in, `signal.reason`
 */
export async function selfTest(
  backend: IsolationGrade & Pick<SandboxBackend, 'create'>,
  runtime: Runtime,
  limitsEnabled: boolean,
  signal: AbortSignal,
): Promise<Check[]> {
  const spec: SandboxSpec = { ...SPEC, runtime, pids: PIDS[runtime] };
  const marks = [...GATEWAY_MARKS, ...(process.argv[1]?.startsWith('/') ? [process.argv[1]] : [])];
  const event = { ...EVENT, pids: spec.pids, marks };
  let log = '';
  const outcome = await runOnce(backend, spec, await codeFor(runtime), event, {
    signal,
    onLog: (chunk) => {
      log += Buffer.from(chunk).toString();
    },
  });
  const said = /^found:(.*)$/m.exec(log)?.[1];
  if (said === undefined)
    throw new Error(`a ${runtime} sandbox could not be tried: ${reasonOf(outcome, log)}`);
  const { level, kernel } = backend;
  return checksOf(
    { ...findings.parse(JSON.parse(said)), memory: memoryOf(outcome) },
    { level, kernel, limitsEnabled },
  );
}

/** Everything that was found, as people and programs read it. Pure. */
export function checksOf(found: Findings, { level, kernel, limitsEnabled }: Rung): Check[] {
  return CHECK_IDS.map((id: CheckId): Check => {
    const { what, from, ofSharedKernel, ofLimits, remedy } = PROMISES[id];
    const { reached, seen } = found[id] ?? { reached: null, seen: 'not tried' };
    const promised =
      isAtLeast(level, from) && !(ofSharedKernel && kernel !== 'host') && (!ofLimits || limitsEnabled);
    return {
      id,
      what,
      holds: reached === null ? null : !reached,
      promised,
      seen,
      ...(reached && { remedy }),
    };
  });
}

/** @throws Error when it ended otherwise: an engine that stops ends sandboxes, too, and that says nothing of limits */
function memoryOf(outcome: Outcome): Findings[string] {
  if (outcome.status === 'succeeded') return { reached: true, seen: 'twice as much was given' };
  const { code, message } = outcome.failure;
  if (code !== 'out_of_memory') throw new Error(`the limit on memory could not be tried: ${message}`);
  return { reached: false, seen: 'twice as much ended as out_of_memory' };
}

function reasonOf(outcome: Outcome, log: string): string {
  if (outcome.status === 'failed') return `${outcome.failure.message} ${log.slice(-1_000)}`.trim();
  return 'it said nothing';
}

async function codeFor(runtime: Runtime): Promise<string> {
  if (runtime === 'nodejs') return read('look.js');
  const python = await read('look.py');
  if (runtime === 'python') return `${python}\n\ndef handler(event, context):\n    return look(event)\n`;
  const ending = 'with open(os.environ["CRONIUM_EVENT_FILE"]) as file:\n    look(json.load(file))';
  return `exec python3 -I /dev/fd/3 3<<'END_OF_LOOK'\n${python}\n${ending}\nEND_OF_LOOK\n`;
}

function read(name: string): Promise<string> {
  return readFile(new URL(name, import.meta.url), 'utf8');
}
