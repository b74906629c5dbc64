import { randomBytes } from 'node:crypto';
import { Command } from 'commander';
import type { Check } from '../core/self-test.ts';
import type { Finding } from '../sandbox/doctor.ts';
import { configOfShell } from './config.ts';

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('what this host can and cannot isolate, measured, and the remedy for each lack')
    .option('--json', 'as JSON')
    .action(doctor);
}

async function doctor({ json }: { json?: boolean }): Promise<void> {
  const { detectOptions } = await import('../compose/detect-options.ts');
  const { faultsAtLevel } = await import('../config/level-faults.ts');
  const { examineHost } = await import('../sandbox/doctor.ts');
  const { levelTable, tryLevels } = await import('../sandbox/level-table.ts');
  // An instance of its own: what a running gateway has is not the doctor's to sweep.
  const instanceId = randomBytes(6).toString('hex');
  const config = configOfShell();
  const own = { instanceId, onProgress: say, onEngineError: () => {} };
  const findings = await examineHost(detectOptions(config, own));
  // Its default is another at paranoid.
  const { AUDIT_FAIL_CLOSED: _, ...levelled } = config;
  const levels = await tryLevels(
    (level) => detectOptions({ ...config, SECURITY_LEVEL: level }, own),
    (level) => faultsAtLevel(levelled, level),
    { level: config.SECURITY_LEVEL, findings },
  );
  process.stdout.write(
    json
      ? `${JSON.stringify({ findings, levels }, null, 2)}\n`
      : `${render(findings)}\n${levelTable(levels)}`,
  );
  process.exitCode = findings.some(({ usable }) => usable) ? 0 : 1;
}

function render(findings: readonly Finding[]): string {
  const lines = findings.flatMap(({ isolation, usable, reason, remedy, checks, notes }) => [
    `${usable ? '✔' : '✘'} ${isolation}${reason ? `: ${reason}` : ''}`,
    ...(remedy ? [`    remedy: ${remedy}`] : []),
    ...checks.flatMap((check) => [
      `    ${markOf(check)} ${check.what}: ${check.seen}${check.promised ? '' : ' (not promised here)'}`,
      ...(check.remedy && check.promised ? [`        remedy: ${check.remedy}`] : []),
    ]),
    ...notes.map((note) => `    – ${note}`),
  ]);
  return `${lines.join('\n')}\n`;
}

/** What is not promised and does not hold is a fact of the level, and no fault of the host. */
function markOf({ holds, promised }: Check): string {
  if (holds) return '✔';
  return holds === null || !promised ? '–' : '✘';
}

function say(line: string): void {
  process.stderr.write(`cronium: ${line}\n`);
}
