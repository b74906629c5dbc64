import { globSync, readFileSync } from 'node:fs';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const report = process.env.VITEST_JSON;

/** Modules of test/ that start engines, databases or gateways. */
const HEAVY =
  /from '\.[./a-z-]*\/(on-engine|engines|own-engine|processes|served|watched|stack|postgres|chromium)\.ts'/;
/** They load this machine or take parts of it away, and bear little company. */
const APART = ['test/attack/hostile.test.ts', 'test/faults/{engine,mixed-load}.test.ts'];
/** A machine by itself, which emulates two processors. */
const MACHINE = ['test/machine/*.test.ts'];
const all = globSync('test/**/*.test.ts');
const apart = globSync([...APART, ...MACHINE]);
const withEngines = all.filter((file) => !apart.includes(file) && HEAVY.test(readFileSync(file, 'utf8')));

/** The longest of each group, which begin first: one that began last would run on alone. The others follow by their size. */
const LONG = [
  'compose/compose',
  'crash/sigkill',
  'e2e/lifecycle-docker',
  'attack/single-use',
  'e2e/fresh-clone',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const at = LONG.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`));
      return at < 0 ? LONG.length : at;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

/** A machine of two cores, shared with others, starves a test now and then; a second try is told in the output, with the reason, and no third is made. */
const retry = process.env.CI ? 1 : 0;

/** @param groupOrder one group after the other */
const project = (name: string, groupOrder: number, include: string[], options: object) => ({
  extends: true as const,
  test: { name, include, sequence: { groupOrder }, ...options },
});

export default defineConfig({
  test: {
    setupFiles: ['test/setup.ts'],
    sequence: { sequencer: LongestFirst },
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // A second is short where two cores boot sandboxes, too.
    expect: { poll: { timeout: 15_000 } },
    reporters: ['default', './test/retried.ts', ...(report === undefined ? [] : ['json'])],
    ...(report !== undefined && { outputFile: { json: report } }),
    // For two cores; what starts engines and gateways waits for them half of the time.
    projects: [
      project('unit', 1, ['test/**/*.test.ts'], {
        exclude: [...withEngines, ...apart],
        maxWorkers: 2,
      }),
      project('engines', 2, withEngines, {
        globalSetup: ['test/global-setup.ts'],
        maxWorkers: 3,
        retry,
      }),
      project('apart', 3, APART, { maxWorkers: 2, retry }),
      project('machine', 4, MACHINE, { maxWorkers: 1 }),
    ],
  },
});
