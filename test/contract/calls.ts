import type { Runtime } from '../../src/core/event.ts';
import type {
  Call,
  CallLimits,
  Outcome,
  ResponseHead,
  Sandbox,
  SandboxSpec,
} from '../../src/core/sandbox.ts';

const MIB = 2 ** 20;
const LIMITS: CallLimits = { logBytes: 65_536, responseBytes: MIB, streamBytes: 4 * MIB };

/** Small, so that filling it up is quick. */
export function smallSpec(runtime: Runtime, over: Partial<SandboxSpec> = {}): SandboxSpec {
  const memoryBytes = (runtime === 'nodejs' ? 160 : 96) * MIB;
  return { runtime, memoryBytes, cpus: 1, pids: 48, tmpBytes: 8 * MIB, runBytes: MIB, ...over };
}

export function callOf(code: string, over: Partial<Call> = {}): Call {
  return {
    invocationId: 'inv-1',
    functionName: 'f',
    functionVersion: 1,
    memoryMb: 96,
    deadlineMs: Date.now() + 30_000,
    code,
    env: {},
    event: {},
    limits: LIMITS,
    ...over,
  };
}

/** What a call came to, with all that was heard while it ran. */
export interface Heard {
  outcome: Outcome;
  head: ResponseHead | undefined;
  body: string;
  log: string;
}

export async function runIn(
  sandbox: Sandbox,
  call: Call,
  signal: AbortSignal = AbortSignal.timeout(60_000),
  onLog: (text: string) => void = () => {},
): Promise<Heard> {
  let head: ResponseHead | undefined;
  const body: Uint8Array[] = [];
  let log = '';
  const outcome = await sandbox.run(
    call,
    {
      injected: () => {},
      head: (given) => {
        head = given;
      },
      data: (chunk) => {
        body.push(chunk);
      },
      log: (chunk) => {
        log += Buffer.from(chunk).toString();
        onLog(log);
      },
    },
    signal,
  );
  return { outcome, head, body: Buffer.concat(body).toString(), log };
}

/** The value that a function returned; throws with all that it said when it failed. */
export function answerOf({ outcome, log }: Heard): unknown {
  if (outcome.status === 'failed') throw new Error(`${JSON.stringify(outcome.failure)}\n${log}`);
  return outcome.result?.value;
}

/** The same in every language: answers the number 42. */
export const ANSWERS_42: Readonly<Record<Runtime, string>> = {
  python: 'def handler(event, context): return 42',
  nodejs: 'export const handler = async () => 42;',
  bash: 'cronium output 42',
};

/** Logs "running" and never ends. */
export const NEVER_ENDS: Readonly<Record<Runtime, string>> = {
  python:
    'import time\ndef handler(event, context):\n    print("running", flush=True)\n    while True: time.sleep(1)',
  nodejs:
    'export const handler = () => { console.log("running"); return new Promise(() => setInterval(() => {}, 1000)); };',
  bash: 'trap "" TERM\necho running >&2\nwhile :; do sleep 1; done',
};
