import type { Reporter, TestCase } from 'vitest/node';

/** Says of tests that passed at the second try why the first one failed: a test that is starved now and then is still a fault. */
export default class implements Reporter {
  onTestCaseResult(test: TestCase): void {
    const { state, errors = [] } = test.result();
    const retries = test.diagnostic()?.retryCount ?? 0;
    if (state !== 'passed' || retries === 0) return;
    const reasons = errors.map(({ stack, message }) => stack ?? message).join('\n');
    process.stdout.write(`retried: ${test.module.relativeModuleId} > ${test.fullName}\n${reasons}\n`);
  }
}
