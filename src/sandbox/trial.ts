import type { Call, Outcome, SandboxBackend, SandboxSpec } from '../core/sandbox.ts';

const BOOT_TIMEOUT_MS = 30_000;
const RUN_TIMEOUT_MS = 30_000;
const LIMITS = { logBytes: 65_536, responseBytes: 262_144, streamBytes: 262_144 };

/**
 * Boots a sandbox, runs this Python in it with this event, and removes it.
 * @throws GatewayError when it does not boot
 */
export async function runOnce(
  backend: SandboxBackend,
  spec: SandboxSpec,
  code: string,
  event: unknown,
): Promise<Outcome> {
  const sandbox = await backend.create(spec, AbortSignal.timeout(BOOT_TIMEOUT_MS));
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
    const observer = { injected: () => {}, head: () => {}, data: () => {}, log: () => {} };
    return await sandbox.run(call, observer, AbortSignal.timeout(RUN_TIMEOUT_MS));
  } finally {
    await sandbox.destroy();
  }
}
