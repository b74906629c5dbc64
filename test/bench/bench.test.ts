import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { TempDir } from '../e2e/processes.ts';
import { onEngine } from '../on-engine.ts';

const execute = promisify(execFile);
const cwd = fileURLToPath(new URL('../..', import.meta.url));
const run = (program: string, args: string[]) => execute(program, args, { cwd, timeout: 120_000 });

interface Results {
  results: { isolation: string; readyMs: number; memoryAtRestMb: number; runtimes: object[] }[];
  durable: { gateway: object; bare: object; claims: { database: string; rates: object[] }[] };
  goals: { name: string; measured: number; limit: string }[];
}

/** Every number in it, however deep. */
function numbersIn(value: unknown): number[] {
  if (typeof value === 'number') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(numbersIn) : [];
}

await onEngine('docker', () => {
  /** No figure of so short a run means anything: that there is one of each, and that nothing is left out, is what counts. */
  test('npm run bench measures gateways, and draws them', async () => {
    using dir = new TempDir();
    const file = (name: string) => join(dir.path, name);
    const before = await readdir(tmpdir());
    const isolations = ['docker+runc', 'bubblewrap'];
    const { stdout, stderr } = await run('npm', [
      ...['run', 'bench', '--', '--trial', '--runtime', 'bash'],
      ...isolations.flatMap((isolation) => ['--isolation', isolation]),
      ...['--json', file('b.json'), '--svg', file('b.svg'), '--queue-svg', file('q.svg')],
    ]);
    expect(stderr).not.toContain('left out');
    for (const isolation of isolations) expect(stdout).toContain(`| ${isolation} | bash |`);
    const found = JSON.parse(await readFile(file('b.json'), 'utf8')) as Results;
    const measured = [{ runtime: 'bash', burst: { failed: 0 } }];
    expect(found.results).toMatchObject(isolations.map((isolation) => ({ isolation, runtimes: measured })));
    expect(found.durable.claims.map(({ database }) => database)).toEqual(['SQLite', 'Postgres']);
    expect(found.goals.length).toBeGreaterThan(14);
    for (const number of numbersIn({ ...found, goals: [] })) expect(number).toBeGreaterThanOrEqual(0);
    for (const name of ['b.svg', 'q.svg'])
      expect(await readFile(file(name), 'utf8')).toMatch(/^<svg[\s\S]*<\/svg>\s*$/);
    const left = (await readdir(tmpdir())).filter((name) => name.startsWith('cronium-bench-'));
    expect(left.filter((name) => !before.includes(name))).toEqual([]);
  }, 120_000);
});

await onEngine('bubblewrap', () => {
  test('npm run bench:neighbours shows how neighbours slow each other', async () => {
    const args = ['--calls', '3', '--loops', '1', '--isolation', 'bubblewrap'];
    const { stdout } = await run('npm', ['run', 'bench:neighbours', '--', ...args]);
    expect(stdout).toMatch(/^\| bubblewrap \| 1 \| [\d.]+ ms \|/m);
  });
});

describe('without sandboxes', () => {
  test('npm run bench:retention shows whether pruning makes anybody wait', async () => {
    const { stdout } = await run('npm', ['run', 'bench:retention', '--', '500']);
    expect(stdout).toMatch(/p99/);
  });
});
