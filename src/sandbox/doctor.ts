import { RUNTIMES, type Runtime } from '../core/event.ts';
import { broken, type Check } from '../core/self-test.ts';
import { messageOf } from '../errors.ts';
import { type Attempt, type DetectOptions, type Refusal, tryCandidates } from './detect.ts';
import { selfTest } from './self-test/self-test.ts';

/** What one way of isolating is worth on this host. */
export interface Finding {
  /** As it was asked for: `docker+gvisor`. */
  candidate: string;
  isolation: string;
  /** It runs functions of every language and keeps from them what its level promises. */
  usable: boolean;
  reason?: string;
  remedy?: string;
  checks: Check[];
  /** What else confines its sandboxes, or does not. */
  notes: readonly string[];
}

const NEVER = new AbortController().signal;

/** Tries every way of isolating that the gateway knows, strongest first, from inside a sandbox. Leaves nothing behind. */
export async function examineHost(options: DetectOptions): Promise<Finding[]> {
  const findings: Finding[] = [];
  for await (const attempt of tryCandidates('auto', options))
    findings.push(await examine(attempt, options.bubblewrap.limitsEnabled));
  return findings;
}

async function examine(attempt: Attempt, limitsEnabled: boolean): Promise<Finding> {
  const { candidate } = attempt;
  if ('refusal' in attempt) return unusable(candidate.name, attempt.refusal);
  const { backend } = attempt;
  try {
    const found = new Map<Runtime, Check[]>();
    for (const runtime of RUNTIMES) {
      const look = () => selfTest(backend, runtime, limitsEnabled, NEVER);
      // As the gateway does: what could not be tried on a busy host says nothing of its sandboxes.
      found.set(runtime, await look().catch(look));
    }
    const checks = merged(found);
    return {
      candidate: candidate.name,
      isolation: backend.isolation,
      usable: broken(checks).length === 0,
      checks,
      notes: backend.notes ?? [],
    };
  } catch (error) {
    return unusable(candidate.name, {
      name: backend.isolation,
      reason: messageOf(error),
      remedy: candidate.remedy,
    });
  } finally {
    await backend.close();
  }
}

/** What holds in the sandboxes of all languages; else what was found in the first of those in which it does not. */
export function merged(found: ReadonlyMap<Runtime, readonly Check[]>): Check[] {
  const [first = [], ...others] = [...found.values()];
  return first.map((check, at) => {
    const all = [check, ...others.map((checks) => checks[at]!)];
    const failing = all.findIndex(({ holds }) => holds === false);
    const shown = all[failing] ?? all.find(({ holds }) => holds) ?? check;
    const where = failing === -1 ? '' : ` in ${[...found.keys()][failing]}`;
    return { ...shown, seen: `${shown.seen}${where}` };
  });
}

function unusable(candidate: string, { name, reason, remedy }: Refusal): Finding {
  return { candidate, isolation: name, usable: false, reason, remedy, checks: [], notes: [] };
}
