import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const DOCUMENT = fileURLToPath(new URL('../../../docs/security.md', import.meta.url));
const BEGIN = '<!-- attacks: written by test/attack/escapes -->';
const END = '<!-- end of attacks -->';

/** What became of one attack. `how` says what stopped it, or what it reached. */
export interface Verdict {
  isStopped: boolean;
  how: string;
}

/** By column, then by attack. */
export type Verdicts = Map<string, Map<string, Verdict>>;

/** The table in docs/security.md. */
export function documented(): Verdicts {
  const verdicts: Verdicts = new Map();
  const rows = parts()
    .table.split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) => line.split('|').slice(1, -1));
  const [head = [], , ...body] = rows.map((cells) => cells.map((cell) => cell.trim()));
  for (const [at, column] of head.entries()) {
    if (at === 0) continue;
    const entries = body.flatMap((cells): [string, Verdict][] => {
      const cell = cells[at] ?? '';
      const verdict = { isStopped: cell.startsWith('✔'), how: cell.slice(1).trim() };
      return cell === '' ? [] : [[cells[0]!, verdict]];
    });
    verdicts.set(column, new Map(entries));
  }
  return verdicts;
}

/** Puts what was found in place of what is written there; columns that were not tried now stay as they were. */
export function write(found: Verdicts, columns: readonly string[]): void {
  const old = documented();
  const all = new Map(columns.map((column) => [column, found.get(column) ?? old.get(column)]));
  const attacks = [...new Set([...found.values()].flatMap((verdicts) => [...verdicts.keys()]))];
  const lines = [
    `| attack | ${columns.join(' | ')} |`,
    `| --- |${' --- |'.repeat(columns.length)}`,
    ...attacks.map((attack) => {
      const cells = columns.map((column) => cellOf(all.get(column)?.get(attack)));
      return `| ${attack} | ${cells.join(' | ')} |`;
    }),
  ];
  const { before: above, after } = parts();
  writeFileSync(DOCUMENT, `${above}\n${lines.join('\n')}\n${after}`);
}

function cellOf(verdict: Verdict | undefined): string {
  if (verdict === undefined) return '';
  return `${verdict.isStopped ? '✔' : '✘'} ${verdict.how.replaceAll('|', '\\|')}`.trim();
}

function parts(): { before: string; table: string; after: string } {
  const text = readFileSync(DOCUMENT, 'utf8');
  const from = text.indexOf(BEGIN) + BEGIN.length;
  const to = text.indexOf(END);
  if (from < BEGIN.length || to === -1) throw new Error(`docs/security.md has no ${BEGIN}`);
  return { before: text.slice(0, from), table: text.slice(from, to), after: text.slice(to) };
}
