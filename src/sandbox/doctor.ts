import type { SandboxSpec } from '../core/sandbox.ts';
import { messageOf } from '../errors.ts';
import { candidates, type DetectOptions, type Refusal } from './detect.ts';
import { type Check, selfTest } from './self-test.ts';

/** What one way of isolating is worth on this host. */
export interface Finding {
  isolation: string;
  /** It runs functions; what it does not keep from them is in `checks`. */
  usable: boolean;
  reason?: string;
  remedy?: string;
  checks: Check[];
}

/** Small, so that filling it up is quick. */
const TRIAL: SandboxSpec = {
  runtime: 'python',
  memoryBytes: 96 * 2 ** 20,
  cpus: 1,
  pids: 48,
  tmpBytes: 8 * 2 ** 20,
  runBytes: 2 ** 20,
};

/** Tries every way of isolating that the gateway knows, strongest first, from inside a sandbox. Leaves nothing behind. */
export async function examineHost(options: DetectOptions): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const candidate of candidates(options)) {
    findings.push(await examine(candidate));
  }
  return findings;
}

async function examine({ name, remedy, connect }: ReturnType<typeof candidates>[number]): Promise<Finding> {
  const refusal = (error: unknown): Omit<Refusal, 'name'> => ({ reason: messageOf(error), remedy });
  try {
    const backend = await connect();
    try {
      const checks = await selfTest(backend, TRIAL);
      return { isolation: backend.isolation, usable: checks[0]!.holds, checks };
    } finally {
      await backend.close();
    }
  } catch (error) {
    return { isolation: name, usable: false, ...refusal(error), checks: [] };
  }
}
