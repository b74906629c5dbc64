// Prints the result line of a test run: summarize.js REPORT STATUS FURTHER [SKIPPED]
// REPORT is vitest's JSON report, STATUS what `npm test` exited with, FURTHER how many failures
// were seen outside the tests, SKIPPED how many checks there could not be made. Exits 1 if anything failed.
import { readFileSync } from 'node:fs';

const [reportFile, status, further, furtherSkipped = '0'] = process.argv.slice(2);
let passed = 0;
let failed = Number(further);
let skipped = Number(furtherSkipped);

// A file that does not load, or fails outside its tests, has no failed test: the file itself counts.
function failedWithoutTest(file) {
  return file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed');
}

try {
  const report = JSON.parse(readFileSync(reportFile, 'utf8'));
  passed = report.numPassedTests;
  skipped += report.numPendingTests + report.numTodoTests;
  failed += report.numFailedTests + report.testResults.filter(failedWithoutTest).length;
  if (passed + failed === 0) {
    console.error('run: no test ran');
    failed = 1;
  }
} catch (error) {
  console.error(`run: there is no readable test report: ${error.message}`);
  failed ||= 1;
}
// npm can fail although no test did, for example on an error between tests.
if (status !== '0' && failed === 0) {
  console.error(`run: npm test exited with ${status}, though no test failed`);
  failed = 1;
}

console.log(`${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`);
process.exitCode = failed ? 1 : 0;
