import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { configOfShell } from '../src/cli/config.ts';
import { detectOptions } from '../src/compose/detect-options.ts';
import { RUNTIMES, type Runtime } from '../src/core/event.ts';
import { messageOf } from '../src/errors.ts';
import { Stage } from '../src/sandbox/bubblewrap-stage.ts';
import { detectCgroups } from '../src/sandbox/cgroups.ts';
import { Dialect } from '../src/sandbox/dialect.ts';
import { DockerLauncher } from '../src/sandbox/docker.ts';
import { EngineClient, type EngineKind } from '../src/sandbox/engine-client.ts';
import { Images } from '../src/sandbox/images.ts';
import { chooseRuntime } from '../src/sandbox/oci-runtime.ts';
import { type Bare, bareBubblewrap, bareContainers } from './bare.ts';
import { dockerExec, dockerRun } from './baselines.ts';
import { chart } from './chart.ts';
import { DURABLE_SIZES, type DurableResult, measureDurable } from './durable.ts';
import { type BackendResult, measureBackend, type Size } from './measure.ts';
import { queueChart } from './queue-chart.ts';
import { durableGoals, durableTables, goals, goalTable, loadTable, table } from './report.ts';

const SIZES: Readonly<Record<string, Omit<Size, 'runtimes'>>> = {
  quick: { calls: 40, warmUpCalls: 200, sustainedMs: 2_000, clients: [1, 4] },
  full: { calls: 200, warmUpCalls: 400, sustainedMs: 8_000, clients: [1, 2, 4, 8, 32] },
  /** Shows that all of it works; its numbers mean nothing. */
  trial: { calls: 4, warmUpCalls: 4, sustainedMs: 200, clients: [1] },
};

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    trial: { type: 'boolean', default: false },
    durable: { type: 'boolean', default: false },
    isolation: {
      type: 'string',
      multiple: true,
      default: ['docker+runc', 'docker+runsc', 'podman', 'bubblewrap'],
    },
    runtime: { type: 'string', multiple: true, default: [...RUNTIMES] },
    json: { type: 'string', default: 'bench/results/latest.json' },
    svg: { type: 'string', default: 'bench/results/latest.svg' },
    'queue-svg': { type: 'string', default: 'bench/results/queue.svg' },
  },
});

const sizeName = values.trial ? 'trial' : values.quick ? 'quick' : 'full';
const size: Size = {
  ...SIZES[sizeName]!,
  runtimes: RUNTIMES.filter((runtime) => values.runtime.includes(runtime)),
};
const say = (line: string) => process.stderr.write(`bench: ${line}\n`);
const own = {
  instanceId: randomBytes(6).toString('hex'),
  onProgress: say,
  onEngineError: (error: unknown) => say(messageOf(error)),
};
const options = detectOptions(configOfShell(), own);
const machine = `${availableParallelism()} × ${cpus()[0]?.model ?? 'CPU'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node.js ${process.version}`;

const results: BackendResult[] = [];
for (const isolation of values.durable ? [] : values.isolation) {
  try {
    results.push(await (isolation === 'bubblewrap' ? measureBubblewrap() : measureContainers(isolation)));
  } catch (error) {
    say(`${isolation} is left out: ${messageOf(error)}`);
  }
}
let durable: DurableResult | undefined;
try {
  durable = await measureDurable(DURABLE_SIZES[sizeName], say);
} catch (error) {
  say(`durable work is left out: ${messageOf(error)}`);
}

const found = [...goals(results), ...(durable === undefined ? [] : durableGoals(durable))];
const tables = [
  machine,
  ...(results.length > 0 ? [table(results), loadTable(results)] : []),
  ...(durable === undefined ? [] : [durableTables(durable)]),
  goalTable(found),
];
process.stdout.write(`${tables.join('\n\n')}\n`);
const json = `${JSON.stringify({ machine, size, results, durable, goals: found }, null, 2)}\n`;
await save(values.json, json);
if (results.length > 0) await save(values.svg, chart(results, machine));
if (durable !== undefined) await save(values['queue-svg'], queueChart(durable.claims, machine));
if (found.length === 0) process.exitCode = 1;

async function save(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
  say(`written: ${path}`);
}

/** @param isolation `podman`, or `docker+` and a runtime of it */
async function measureContainers(isolation: string): Promise<BackendResult> {
  const [kind, name] = isolation.split('+') as [EngineKind, string | undefined];
  const wanted = name === undefined ? 'default' : { name };
  const launcher = await DockerLauncher.connect(options[kind], wanted);
  const engine = await EngineClient.connect(kind, options[kind]);
  try {
    await launcher.prepare(RUNTIMES);
    const { docker } = engine;
    const images = new Images(docker, options[kind]);
    const ids = new Map<Runtime, string>();
    for (const runtime of RUNTIMES) ids.set(runtime, await images.ensure(runtime));
    const imageOf = (runtime: Runtime) => ids.get(runtime)!;
    const ociRuntime = chooseRuntime(engine, wanted);
    const dialect = new Dialect(engine.kind);
    const bare = bareContainers(
      { docker, dialect, ociRuntime, kernel: launcher.kernel },
      imageOf,
      own.instanceId,
    );
    await learn(bare, dialect);
    const few = Math.min(size.calls, Math.max(10, Math.ceil(size.calls / 8)));
    return await measureBackend(
      isolation,
      bare,
      size,
      async (runtime) =>
        kind === 'podman'
          ? {}
          : {
              dockerRun: await dockerRun(imageOf(runtime), runtime, few, ociRuntime.name),
              dockerExec: await dockerExec(docker, imageOf(runtime), runtime, few * 2, ociRuntime.name),
            },
      say,
    );
  } finally {
    // Removes what attempts to boot have left, too.
    await launcher.close();
    engine.close();
  }
}

/** Boots until the engine refuses nothing any more, as the gateway does. */
async function learn(bare: Bare, dialect: Dialect): Promise<void> {
  for (;;) {
    const { learnt } = dialect;
    try {
      return await (await bare.boot('python')).destroy();
    } catch (error) {
      dialect.learnFrom(error);
      if (dialect.learnt === learnt) throw error;
    }
  }
}

async function measureBubblewrap(): Promise<BackendResult> {
  const stage = await Stage.create(options.bubblewrap);
  const cgroups = detectCgroups(`cronium-bench-${own.instanceId}`);
  try {
    const bare = bareBubblewrap(stage.files, cgroups);
    return await measureBackend('bubblewrap', bare, size, async () => ({}), say);
  } finally {
    await cgroups?.close();
    await stage.remove();
  }
}
