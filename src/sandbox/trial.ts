import type { Call, Outcome, SandboxBackend, SandboxSpec } from '../core/sandbox.ts';

const BOOT_TIMEOUT_MS = 30_000;
const RUN_TIMEOUT_MS = 30_000;
const LIMITS = { logBytes: 65_536, responseBytes: 262_144, streamBytes: 262_144 };

export interface TrialOptions {
  /** Gives it up. */
  signal?: AbortSignal;
  onLog?: (chunk: Uint8Array) => void;
}

/**
 * Boots a sandbox, runs this code in it with this event, and removes it.
 * @throws GatewayError when it does not boot, or `signal.reason`
 */
export async function runOnce(
  backend: Pick<SandboxBackend, 'create'>,
  spec: SandboxSpec,
  code: string,
  event: unknown,
  { signal = new AbortController().signal, onLog = () => {} }: TrialOptions = {},
): Promise<Outcome> {
  const within = (timeoutMs: number) => AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const sandbox = await backend.create(spec, within(BOOT_TIMEOUT_MS));
  try {
    const call: Call = {
      invocationId: 'trial',
      functionName: 'trial',
      functionVersion: 1,
      memoryMb: Math.round(spec.memoryBytes / 2 ** 20),
      deadlineMs: Date.now() + RUN_TIMEOUT_MS,
      code,
      env: {},
      event,
      limits: LIMITS,
    };
    const observer = { injected: () => {}, head: () => {}, data: () => {}, log: onLog };
    return await sandbox.run(call, observer, within(RUN_TIMEOUT_MS));
  } finally {
    await sandbox.destroy();
  }
}
