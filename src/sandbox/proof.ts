import type { SandboxBackend, SandboxSpec } from '../core/sandbox.ts';
import { runOnce } from './trial.ts';

/** The sandbox of a proof. */
export const PROOF_SPEC: SandboxSpec = {
  runtime: 'python',
  memoryBytes: 64 * 2 ** 20,
  cpus: 1,
  pids: 32,
  tmpBytes: 2 ** 20,
  runBytes: 2 ** 20,
};

/**
 * What this Python finds when it looks from inside a sandbox that is booted for it.
 * @throws GatewayError when no sandbox boots, Error when it does not answer
 */
export async function lookFromInside(backend: SandboxBackend, look: string, event = {}): Promise<unknown> {
  const outcome = await runOnce(backend, PROOF_SPEC, look, event);
  if (outcome.status === 'failed')
    throw new Error(`a sandbox could not be looked at: ${outcome.failure.message}`);
  return outcome.result?.value;
}
