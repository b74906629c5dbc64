import type { Runtime } from '../src/core/event.ts';
import type { Bare, BareSandbox } from './bare.ts';
import { BenchGateway } from './gateway.ts';
import { pause, roundsPerSecond, type Summary, summarize, timed } from './stats.ts';

export interface Size {
  /** Calls of one kind, one after another. */
  calls: number;
  /** Calls before anything is measured: a gateway that has served no more than that still compiles what it does. */
  warmUpCalls: number;
  /** How long sustained load lasts, ms. */
  sustainedMs: number;
  clients: readonly number[];
  runtimes: readonly Runtime[];
}

export interface RuntimeResult {
  runtime: Runtime;
  dockerRun?: Summary;
  dockerExec?: Summary;
  bareWarm: Summary;
  gatewayWarm: Summary;
  bareCold: Summary;
  gatewayCold: Summary;
  /** By number of clients at once: answers a second and how many of them found a warm sandbox. */
  concurrent: { clients: number; latency: Summary; perSecond: number; warmShare: number }[];
  burst: { size: number; latency: Summary; warm: number; failed: number };
  sustained: { parallel: number; barePerSecond: number; gatewayPerSecond: number };
}

export interface BackendResult {
  isolation: string;
  readyMs: number;
  memoryAtRestMb: number;
  runtimes: RuntimeResult[];
}

const POOL = { POOL_MIN: '3', POOL_TARGET: '3', POOL_MAX: '60', MAX_SANDBOXES: '80' };
const LOAD = { MAX_CONCURRENT_EXECUTIONS: '32', QUEUE_TIMEOUT_MS: '120000' };
/**
 * The pool has been refilled by then, and agents have done what they do after they said that they are ready, so that the next call finds what
 * a call after a quiet moment would. In a kernel of gVisor's that takes longer.
 */
const settleMs = (isolation: string) => (isolation.endsWith('+runsc') ? 500 : 60);
const PARALLEL = 4;

type Baselines = (runtime: Runtime) => Promise<Pick<RuntimeResult, 'dockerRun' | 'dockerExec'>>;

export async function measureBackend(
  isolation: string,
  bare: Bare,
  size: Size,
  baselines: Baselines,
  say: (line: string) => void,
): Promise<BackendResult> {
  const { readyMs, memoryAtRestMb } = await atRest(isolation);
  const gateway = await BenchGateway.start(isolation, { ...POOL, ...LOAD });
  try {
    await gateway.selfTested();
    const runtimes: RuntimeResult[] = [];
    for (const runtime of size.runtimes) {
      say(`${isolation}, ${runtime}`);
      runtimes.push({
        ...(await baselines(runtime)),
        ...(await measureRuntime(gateway, bare, runtime, size, settleMs(isolation))),
      });
    }
    return { isolation, readyMs, memoryAtRestMb, runtimes };
  } finally {
    await gateway.stop();
  }
}

/** A gateway as it is out of the box, which nobody calls. The first start of all also compiles the code: not counted. */
async function atRest(isolation: string): Promise<{ readyMs: number; memoryAtRestMb: number }> {
  await (await BenchGateway.start(isolation, {})).stop();
  const gateway = await BenchGateway.start(isolation, {});
  try {
    await gateway.selfTested();
    await pause(2_000);
    return { readyMs: gateway.readyMs, memoryAtRestMb: gateway.memoryMb() };
  } finally {
    await gateway.stop();
  }
}

async function measureRuntime(
  gateway: BenchGateway,
  bare: Bare,
  runtime: Runtime,
  size: Size,
  afterMs: number,
): Promise<RuntimeResult> {
  // A process is slow at what it does for the first time; nobody's gateway stays at its first call.
  await Promise.all(
    Array.from({ length: PARALLEL }, async () => {
      for (let i = 0; i < size.warmUpCalls / PARALLEL; i++) await gateway.call(runtime);
    }),
  );
  const warm = await measureWarm(gateway, bare, runtime, size, afterMs);
  const cold = await alternate(
    Math.ceil(size.calls / 4),
    () => bareCold(bare, runtime, afterMs),
    async () => (await expectAnswer(gateway, runtime, true)).ms,
  );
  return {
    runtime,
    bareWarm: warm.first,
    gatewayWarm: warm.second,
    bareCold: cold.first,
    gatewayCold: cold.second,
    concurrent: await measureClients(gateway, runtime, size),
    burst: await measureBurst(gateway, runtime),
    sustained: {
      parallel: PARALLEL,
      barePerSecond: await roundsPerSecond(PARALLEL, size.sustainedMs, () => bareRound(bare, runtime)),
      gatewayPerSecond: await roundsPerSecond(PARALLEL, size.sustainedMs, async () => {
        await gateway.call(runtime);
      }),
    },
  };
}

/** In turn and not one after the other, so that a machine that slows down slows both. */
async function alternate(times: number, first: () => Promise<number>, second: () => Promise<number>) {
  const taken: [number[], number[]] = [[], []];
  for (let i = 0; i < times; i++) {
    taken[0].push(await first());
    taken[1].push(await second());
  }
  return { first: summarize(taken[0]), second: summarize(taken[1]) };
}

/** The bare ones wait as the pool's do, as many at once and as long: one that has just booted still has its memory in the caches. */
async function measureWarm(gateway: BenchGateway, bare: Bare, runtime: Runtime, size: Size, afterMs: number) {
  const waiting: BareSandbox[] = [];
  const refill = async () => {
    while (waiting.length < Number(POOL.POOL_TARGET)) waiting.push(await bare.boot(runtime));
  };
  try {
    await refill();
    return await alternate(
      size.calls,
      async () => {
        await quiet(gateway, runtime, afterMs);
        const sandbox = waiting.shift()!;
        const ms = await timed(() => sandbox.call());
        await sandbox.destroy();
        await refill();
        return ms;
      },
      () => gatewayWarm(gateway, runtime, afterMs),
    );
  } finally {
    for (const sandbox of waiting) await sandbox.destroy();
  }
}

/** Until the pool is full and nothing boots or settles any more: what is timed then is the call alone. */
async function quiet(gateway: BenchGateway, runtime: Runtime, afterMs: number): Promise<void> {
  await gateway.settled(runtime);
  await pause(afterMs);
}

async function gatewayWarm(gateway: BenchGateway, runtime: Runtime, afterMs: number): Promise<number> {
  await quiet(gateway, runtime, afterMs);
  const answer = await expectAnswer(gateway, runtime, false);
  if (answer.start !== 'warm') throw new Error(`a call of a settled pool started ${answer.start}`);
  return answer.ms;
}

async function bareCold(bare: Bare, runtime: Runtime, afterMs: number): Promise<number> {
  const beganAt = performance.now();
  const sandbox = await bare.boot(runtime);
  await sandbox.call();
  const ms = performance.now() - beganAt;
  await sandbox.destroy();
  await pause(afterMs);
  return ms;
}

async function bareRound(bare: Bare, runtime: Runtime): Promise<void> {
  const sandbox = await bare.boot(runtime);
  await sandbox.call();
  await sandbox.destroy();
}

async function measureClients(gateway: BenchGateway, runtime: Runtime, { clients, sustainedMs }: Size) {
  const results: RuntimeResult['concurrent'] = [];
  for (const count of clients) {
    await gateway.settled(runtime);
    const times: number[] = [];
    let warm = 0;
    const perSecond = await roundsPerSecond(count, sustainedMs, async () => {
      const answer = await expectAnswer(gateway, runtime, false);
      times.push(answer.ms);
      if (answer.start === 'warm') warm += 1;
    });
    results.push({ clients: count, latency: summarize(times), perSecond, warmShare: warm / times.length });
  }
  return results;
}

async function measureBurst(gateway: BenchGateway, runtime: Runtime): Promise<RuntimeResult['burst']> {
  await gateway.settled(runtime);
  const size = Number(POOL.POOL_TARGET) * 3;
  const answers = await Promise.all(Array.from({ length: size }, () => gateway.call(runtime)));
  return {
    size,
    latency: summarize(answers.map(({ ms }) => ms)),
    warm: answers.filter(({ start }) => start === 'warm').length,
    failed: answers.filter(({ status }) => status !== 200).length,
  };
}

async function expectAnswer(gateway: BenchGateway, runtime: Runtime, cold: boolean) {
  if (cold) await gateway.settled(runtime);
  const answer = await gateway.call(runtime, cold);
  if (answer.status !== 200) throw new Error(`the gateway answered ${answer.status}`);
  return answer;
}
