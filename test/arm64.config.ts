import { defineConfig } from 'vitest/config';

/**
 * What is run in the emulated machine of .ci/arm64: what depends on the processor, at enhanced; of basic, whose filter lets more through, the
 * filter alone. There is one way of isolating in it; were it missing, that would fail as a test of its name, which is in the pattern.
 */
export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: [
      'test/sandbox/seccomp/{kernel,foreign}.test.ts',
      'test/sandbox/levels.test.ts',
      'test/sandbox/self-test.test.ts',
      'test/attack/escapes/escapes.test.ts',
    ],
    testNamePattern: /^(?!.*(what|at|level) basic)(the kernel|the table|(a 32-bit program on )?bubblewrap)/,
    setupFiles: ['test/setup.ts'],
    testTimeout: 240_000,
    hookTimeout: 240_000,
    // Loading modules takes longest there: once, and by Node.js itself.
    maxWorkers: 1,
    isolate: false,
    experimental: { viteModuleRunner: false },
    retry: 1,
    reporters: [['default', { summary: false }], './test/retried.ts', 'json'],
    outputFile: { json: '/tmp/report.json' },
  },
});
