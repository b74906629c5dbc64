import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT, TempDir } from '../e2e/processes.ts';

/** As much of vitest's report as is read. */
const report = (passed: number, failed: number, pending: number, files: object[] = []) => ({
  numPassedTests: passed,
  numFailedTests: failed,
  numPendingTests: pending,
  numTodoTests: 0,
  testResults: files,
});

/** The last line and the exit code, of runs with their statuses; `undefined` is a run that left no report. */
function summary(outside: [failed: number, skipped: number], ...runs: [status: number, report?: object][]) {
  using dir = new TempDir();
  const args = runs.flatMap(([status, content], at) => {
    const path = join(dir.path, `${at}.json`);
    if (content !== undefined) writeFileSync(path, JSON.stringify(content));
    return [String(status), path];
  });
  const command = [join(ROOT, '.ci/lib/summarize.js'), ...outside.map(String), ...args];
  const { stdout, status } = spawnSync(process.execPath, command, { encoding: 'utf8' });
  return [stdout.trim(), status];
}

test('what was seen outside the tests is in the result', () => {
  expect(summary([0, 0], [0, report(7, 0, 0)])).toEqual(['7 passed, 0 failed', 0]);
  expect(summary([0, 1], [0, report(7, 0, 2)])).toEqual(['7 passed, 0 failed, 3 skipped', 0]);
  expect(summary([1, 0], [0, report(7, 0, 0)])).toEqual(['7 passed, 1 failed', 1]);
});

test('what a second run passes and fails is added, and what it leaves out is not', () => {
  expect(summary([0, 0], [0, report(7, 0, 1)], [0, report(3, 0, 24)])).toEqual([
    '10 passed, 0 failed, 1 skipped',
    0,
  ]);
  expect(summary([0, 0], [0, report(7, 0, 0)], [1, report(2, 1, 0)])).toEqual(['9 passed, 1 failed', 1]);
});

test.each([0, 1])('run %i fails without a report, without a test, and by its status alone', (failing) => {
  const file = { status: 'failed', assertionResults: [] };
  for (const bad of [[125], [0, report(0, 0, 5)], [1, report(7, 0, 0)], [1, report(7, 0, 0, [file])]]) {
    const runs: [number, object?][] = [
      [0, report(1, 0, 0)],
      [0, report(1, 0, 0)],
    ];
    runs[failing] = bad as [number, object?];
    const [line, status] = summary([0, 0], ...runs);
    expect([line, status]).toEqual([expect.stringContaining(', 1 failed'), 1]);
  }
});
