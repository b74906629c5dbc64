import type { SandboxSpec } from '../core/sandbox.ts';
import { messageOf } from '../errors.ts';
import { type Attempt, type DetectOptions, type Refusal, tryCandidates } from './detect.ts';
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

/** Small, so that filling it up is quick, and with room for all processes: on gVisor each takes some megabytes. */
const TRIAL: SandboxSpec = {
  runtime: 'python',
  memoryBytes: 160 * 2 ** 20,
  cpus: 1,
  pids: 24,
  tmpBytes: 8 * 2 ** 20,
  runBytes: 2 ** 20,
};

/** Tries every way of isolating that the gateway knows, strongest first, from inside a sandbox. Leaves nothing behind. */
export async function examineHost(options: DetectOptions): Promise<Finding[]> {
  const findings: Finding[] = [];
  for await (const attempt of tryCandidates('auto', options)) findings.push(await examine(attempt));
  return findings;
}

async function examine(attempt: Attempt): Promise<Finding> {
  if ('refusal' in attempt) return unusable(attempt.refusal);
  const { backend, candidate } = attempt;
  try {
    const checks = await selfTest(backend, TRIAL);
    return { isolation: backend.isolation, usable: checks[0]!.holds, checks };
  } catch (error) {
    return unusable({ name: backend.isolation, reason: messageOf(error), remedy: candidate.remedy });
  } finally {
    await backend.close();
  }
}

function unusable({ name, reason, remedy }: Refusal): Finding {
  return { isolation: name, usable: false, reason, remedy, checks: [] };
}
