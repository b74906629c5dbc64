// Prints the result line of a test run: summarize.js FURTHER SKIPPED STATUS REPORT [STATUS REPORT]...
// FURTHER is how many failures were seen outside the tests, SKIPPED how many checks there could not be made. REPORT is vitest's
// JSON report, and STATUS what that run exited with; what the second and later ones skip is run by the first. Exits 1 if anything failed.
import { readFileSync } from 'node:fs';

const [further, furtherSkipped, ...runs] = process.argv.slice(2);
let passed = 0;
let failed = Number(further);
let skipped = Number(furtherSkipped);

// A file that does not load, or fails outside its tests, has no failed test: the file itself counts.
function failedWithoutTest(file) {
  return file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed');
}

function add(status, reportFile, isFirst) {
  let failedHere = 0;
  try {
    const report = JSON.parse(readFileSync(reportFile, 'utf8'));
    failedHere = report.numFailedTests + report.testResults.filter(failedWithoutTest).length;
    if (report.numPassedTests + failedHere === 0) {
      console.error(`run: no test ran of ${reportFile}`);
      failedHere = 1;
    }
    passed += report.numPassedTests;
    if (isFirst) skipped += report.numPendingTests + report.numTodoTests;
  } catch (error) {
    console.error(`run: there is no readable test report: ${error.message}`);
    failedHere = 1;
  }
  // It can fail although no test did, for example on an error between tests.
  if (status !== '0' && failedHere === 0) {
    console.error(`run: the tests exited with ${status}, though none failed`);
    failedHere = 1;
  }
  failed += failedHere;
}

for (let at = 0; at < runs.length; at += 2) add(runs[at], runs[at + 1], at === 0);
console.log(`${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`);
process.exitCode = failed ? 1 : 0;
