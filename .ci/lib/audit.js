// Asks the registry for known vulnerabilities of the packages in package-lock.json, those for development among them.
// Exits 0 when none is of high or critical severity, 1 when one is, 3 when there is no answer: then nothing is known.
import { spawnSync } from 'node:child_process';

const TIMEOUT_MS = 60_000;
const NO_ANSWER = 3;
const FAILING = ['high', 'critical'];

const { stdout, error } = spawnSync('npm', ['audit', '--json', '--package-lock-only'], {
  encoding: 'utf8',
  timeout: TIMEOUT_MS,
  maxBuffer: 2 ** 26,
  stdio: ['ignore', 'pipe', 'ignore'],
});
const report = parse(stdout);
const counts = report?.metadata?.vulnerabilities;
if (counts === undefined) {
  const reason = error?.message ?? report?.message ?? report?.error?.summary ?? 'npm said nothing';
  console.error(`audit: NOT DONE, the registry gives no answer: ${String(reason).split('\n')[0]}`);
  process.exit(NO_ANSWER);
}
for (const { name, severity, range, via } of Object.values(report.vulnerabilities ?? {})) {
  const why = via.map((each) => (typeof each === 'string' ? `by ${each}` : each.title)).join('; ');
  console.error(`audit: ${severity}: ${name} ${range}: ${why}`);
}
const failing = FAILING.reduce((sum, severity) => sum + (counts[severity] ?? 0), 0);
console.error(`audit: ${counts.total} known vulnerabilities, ${failing} of them high or critical`);
process.exitCode = failing > 0 ? 1 : 0;

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
