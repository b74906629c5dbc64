import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { configOfShell } from '../src/cli/config.ts';
import { detectOptions } from '../src/compose/detect-options.ts';
import type { Sandbox, SandboxBackend } from '../src/core/sandbox.ts';
import { messageOf } from '../src/errors.ts';
import { tryCandidates } from '../src/sandbox/detect.ts';
import { specOf } from './functions.ts';
import { pause, summarize } from './stats.ts';

/**
 * How much one tenant's busy loops slow another's calls: the time of a small piece of work in a warm sandbox, alone and beside
 * sandboxes that compute without end, each within its quota of processor time. Ratios, since times are the machine's.
 */
const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '60' },
    loops: { type: 'string', multiple: true, default: ['1', '2', '4'] },
    isolation: { type: 'string', multiple: true },
  },
});
const calls = Number(values.calls);
const DEADLINE_MS = 120_000;
const LOOPS = 'def handler(event, context):\n    while True: pass\n';
/** A few milliseconds of the processor, as a small function takes. */
const WORK = 'def handler(event, context):\n    return sum(range(200000))\n';

const say = (line: string) => process.stderr.write(`bench: ${line}\n`);
const own = {
  instanceId: randomBytes(6).toString('hex'),
  onProgress: say,
  onEngineError: (error: unknown) => say(messageOf(error)),
};

process.stdout.write(
  '| isolation | loops beside it | p50 | p99 | p99 against alone |\n| --- | --- | --- | --- | --- |\n',
);
for await (const attempt of tryCandidates('auto', detectOptions(configOfShell(), own))) {
  if ('refusal' in attempt) {
    say(`${attempt.refusal.name} is left out: ${attempt.refusal.reason}`);
    continue;
  }
  const { backend } = attempt;
  try {
    if (values.isolation === undefined || values.isolation.includes(backend.isolation))
      await measure(backend);
  } finally {
    await backend.close();
  }
}

async function measure(backend: SandboxBackend): Promise<void> {
  let alone: number | undefined;
  for (const loops of [0, ...values.loops.map(Number)]) {
    const end = new AbortController();
    const neighbours = await Promise.all(Array.from({ length: loops }, () => boot(backend)));
    const looping = neighbours.map((sandbox) => run(sandbox, LOOPS, end.signal).catch(() => {}));
    const timesMs: number[] = [];
    for (let n = 0; n < calls; n++) {
      const sandbox = await boot(backend);
      // What comes after the boot in its own process must not count.
      await pause(50);
      const beganAt = performance.now();
      await run(sandbox, WORK);
      timesMs.push(performance.now() - beganAt);
      await sandbox.destroy();
    }
    end.abort();
    await Promise.all(looping);
    await Promise.all(neighbours.map((sandbox) => sandbox.destroy()));
    const { p50, p99 } = summarize(timesMs);
    alone ??= p99;
    const cells = [
      backend.isolation,
      loops,
      `${p50.toFixed(1)} ms`,
      `${p99.toFixed(1)} ms`,
      (p99 / alone).toFixed(1),
    ];
    process.stdout.write(`| ${cells.join(' | ')} |\n`);
  }
}

function boot(backend: SandboxBackend): Promise<Sandbox> {
  return backend.create(specOf('python'), AbortSignal.timeout(DEADLINE_MS));
}

async function run(sandbox: Sandbox, code: string, signal = AbortSignal.timeout(DEADLINE_MS)): Promise<void> {
  const call = {
    invocationId: 'bench',
    functionName: 'bench',
    functionVersion: 1,
    memoryMb: 512,
    deadlineMs: Date.now() + DEADLINE_MS,
    code,
    env: {},
    event: {},
    limits: { logBytes: 0, responseBytes: 1_024, streamBytes: 0 },
  };
  const observer = { injected: () => {}, head: () => {}, data: () => {}, log: () => {} };
  const { status } = await sandbox.run(call, observer, signal);
  if (status !== 'succeeded') throw new Error('the function failed');
}
