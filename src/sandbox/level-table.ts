import { SECURITY_LEVELS, type SecurityLevel } from '../core/isolation.ts';
import { type DetectOptions, tryCandidates } from './detect.ts';
import type { Finding } from './doctor.ts';

/** Whether one way of isolating meets a level here, with this configuration. */
export interface LevelVerdict {
  /** As the gateway would name it; of one that does not work, as it was asked for. */
  isolation: string;
  level: SecurityLevel;
  met: boolean;
  reason?: string;
  remedy?: string;
}

/** What a level demands of the settings, and what does not hold of it. */
export interface SettingFault {
  name: string;
  message: string;
}

/**
 * Tries every way of isolating at every level, as a start of the gateway would: by a sandbox or two each, and no self-test.
 * Leaves nothing behind.
 * @param examined what is known of one level already
 */
export async function tryLevels(
  optionsAt: (level: SecurityLevel) => DetectOptions,
  faultsAt: (level: SecurityLevel) => readonly SettingFault[],
  examined: { level: SecurityLevel; findings: readonly Finding[] },
): Promise<LevelVerdict[]> {
  const verdicts: LevelVerdict[] = [];
  /** What the candidates turned out to be: where one is refused it is known only by how it was asked for. */
  const found = new Map<string, string>();
  for (const level of SECURITY_LEVELS) {
    const faults = faultsAt(level);
    if (level === examined.level) {
      for (const { candidate, isolation, usable, ...why } of examined.findings) {
        found.set(candidate, isolation);
        const failed = {
          reason: 'its self-test failed',
          remedy: 'It is told above what does not hold.',
          ...why,
        };
        const { reason, remedy } = failed;
        verdicts.push({ isolation: candidate, level, met: usable, ...(!usable && { reason, remedy }) });
      }
      continue;
    }
    for await (const attempt of tryCandidates('auto', optionsAt(level))) {
      const asked = attempt.candidate.name;
      if ('refusal' in attempt) {
        const { name, reason, remedy } = attempt.refusal;
        verdicts.push({ isolation: asked, level, met: false, reason, remedy });
        if (!found.has(asked)) found.set(asked, name);
        continue;
      }
      found.set(asked, attempt.backend.isolation);
      await attempt.backend.close();
      verdicts.push(
        faults.length === 0 ? { isolation: asked, level, met: true } : unmet(asked, level, faults),
      );
    }
  }
  return verdicts.map((verdict) => ({ ...verdict, isolation: found.get(verdict.isolation)! }));
}

function unmet(isolation: string, level: SecurityLevel, faults: readonly SettingFault[]): LevelVerdict {
  const reason = `the configuration does not meet it: ${faults.map(({ name }) => name).join(', ')}`;
  const remedy = faults.map(({ name, message }) => `${name} ${message}`).join('. ');
  return { isolation, level, met: false, reason, remedy };
}

/** The verdicts as a table, a row for each way of isolating, and beneath it why each level is not met and what to do. */
export function levelTable(verdicts: readonly LevelVerdict[]): string {
  const rows = [...new Set(verdicts.map(({ isolation }) => isolation))];
  const width = Math.max(...rows.map(({ length }) => length), 'level'.length);
  const of = (row: string, level: SecurityLevel) =>
    verdicts.find((verdict) => verdict.isolation === row && verdict.level === level);
  const line = (name: string, cells: readonly string[]) =>
    `${name.padEnd(width)}  ${cells.map((cell) => cell.padEnd(8)).join('  ')}`.trimEnd();
  const lines = [
    line('level', SECURITY_LEVELS),
    ...rows.map((row) =>
      line(
        row,
        SECURITY_LEVELS.map((level) => (of(row, level)?.met ? 'met' : 'not met')),
      ),
    ),
  ];
  const unmetOnes = verdicts.filter(({ met }) => !met);
  for (const [, same] of Map.groupBy(unmetOnes, ({ isolation, reason }) => `${isolation}: ${reason}`)) {
    const [{ isolation, reason, remedy }] = same as [LevelVerdict];
    const levels = same.map(({ level }) => level).join(', ');
    lines.push(`✘ ${isolation} at ${levels}: ${reason}`, `    remedy: ${remedy}`);
  }
  return `${lines.join('\n')}\n`;
}
