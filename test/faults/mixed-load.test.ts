import { randomInt } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { instanceIdOf, tracesOf } from '../e2e/processes.ts';
import { onEngine } from '../on-engine.ts';
import { Raw, request } from './raw.ts';
import { Served } from './served.ts';

const isLong = Boolean(process.env.FAULTS_LONG);
const LOAD_MS = isLong ? 600_000 : 25_000;
const WARM_UP_MS = isLong ? 60_000 : 8_000;
const CALLERS = 6;
/** What caches and the store may take on, and nothing that grows with the number of calls does. */
const HEAP_GROWTH_BYTES = 12 * 2 ** 20;
const FILE_GROWTH = 8;

const FUNCTIONS = {
  py: ['python', 'def handler(event, context):\n    return {"body": event.get("body")}'],
  js: ['nodejs', 'export const handler = async (event) => ({ path: event.rawPath });'],
  sh: ['bash', 'cat'],
  fails: ['python', 'def handler(event, context):\n    raise ValueError("on purpose")'],
  late: ['bash', 'sleep 60'],
  exits: ['nodejs', 'process.exit(3)'],
  streams: ['bash', 'for n in 1 2 3 4 5; do echo "$n"; sleep 0.02; done'],
} as const;
const EXPECTED = new Set([200, 413, 429, 502, 503, 504]);

/** Makes the gateway's process collect its garbage and tell what is left, when it gets SIGUSR2. */
const TELL_HEAP = `data:text/javascript,process.on('SIGUSR2', () => {
  globalThis.gc(); globalThis.gc();
  process.stderr.write('{"heap":' + process.memoryUsage().heapUsed + '}\\n');
});`;

interface Usage {
  heapBytes: number;
  files: number;
  temporary: string[];
  sandboxes: number;
}

async function usageOf(gateway: Served): Promise<Usage> {
  const { process: child } = gateway;
  const told = () => [...child.stderr.matchAll(/\{"heap":(\d+)\}/g)].map((match) => Number(match[1]));
  const before = told().length;
  child.signal('SIGUSR2');
  const heapBytes = await child.until('heap', () => told()[before]);
  const instance = instanceIdOf(gateway.dataDir);
  return {
    heapBytes,
    files: readdirSync(`/proc/${gateway.pid}/fd`).length,
    temporary: readdirSync(tmpdir()).filter((name) => name.includes(instance)),
    sandboxes: (await tracesOf(gateway.dataDir)).length,
  };
}

/** One thing that a user may do, and what it came to. */
async function doSomething(gateway: Served, bearer: string, step: number): Promise<number> {
  const names = Object.keys(FUNCTIONS);
  const name = names[step % names.length]!;
  switch (randomInt(10)) {
    case 0: {
      using raw = await Raw.to(gateway.port);
      raw.write(request(`POST /e/${name}`, [bearer, 'content-length: 5'], randomInt(2) ? 'hello' : 'he'));
      await sleep(randomInt(120));
      return 200;
    }
    case 1: {
      const [runtime] = FUNCTIONS.sh;
      const body = JSON.stringify({ runtime, code: `cat; echo ${step}` });
      return (await gateway.send('/v1/events/sh', { method: 'PUT', body })).status;
    }
    case 2:
      return (await gateway.send(`/e/py`, { method: 'POST', body: 'x'.repeat(20_000) })).status;
    case 3:
      return (await gateway.send(`/v1/events/${name}/invocations`)).status;
    default:
      return (await gateway.send(`/e/${name}/${step}`, { method: 'POST', body: 'hello' })).status;
  }
}

async function load(gateway: Served, forMs: number): Promise<Record<number, number>> {
  const counts: Record<number, number> = {};
  const bearer = `authorization: Bearer ${await gateway.token()}`;
  const end = performance.now() + forMs;
  let step = 0;
  const caller = async () => {
    while (performance.now() < end) {
      step += 1;
      const status = await doSomething(gateway, bearer, step);
      counts[status] = (counts[status] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  return counts;
}

/** When the load has stopped: the pools have shrunk to what they keep, and keep-alive connections have ended. */
async function atRest(gateway: Served): Promise<Usage> {
  await gateway.idle();
  await sleep(6_500);
  await gateway.idle();
  return usageOf(gateway);
}

await onEngine('bubblewrap', () => {
  test(
    `${LOAD_MS / 1_000} s of everything at once: memory, files and sandboxes come back to what they were`,
    async () => {
      const env = {
        LOG_LEVEL: 'info',
        POOL_TARGET: '2',
        POOL_IDLE_MS: '3000',
        MAX_CONCURRENT_EXECUTIONS: '4',
        MAX_BODY_BYTES: '10000',
      };
      const nodeArgs = ['--expose-gc', '--import', TELL_HEAP];
      await using gateway = await Served.start({ env, nodeArgs });
      for (const [name, [runtime, code]] of Object.entries(FUNCTIONS)) {
        await gateway.deploy(name, runtime, code, { timeoutMs: name === 'late' ? 150 : 20_000 });
      }
      await load(gateway, WARM_UP_MS);
      const before = await atRest(gateway);
      const counts = await load(gateway, LOAD_MS);
      const after = await atRest(gateway);

      const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
      const mebibytes = ({ heapBytes }: Usage) => (heapBytes / 2 ** 20).toFixed(1);
      console.log(
        `${total} requests ${JSON.stringify(counts)}; heap ${mebibytes(before)} → ${mebibytes(after)} MiB, files ${before.files} → ${after.files}, resident ${residentMebibytes(gateway.pid)} MiB`,
      );
      expect(Object.keys(counts).filter((status) => !EXPECTED.has(Number(status)))).toEqual([]);
      for (const status of [200, 413, 502, 504]) expect(counts[status]).toBeGreaterThan(0);
      expect(after.heapBytes - before.heapBytes).toBeLessThan(HEAP_GROWTH_BYTES);
      expect(after.files - before.files).toBeLessThanOrEqual(FILE_GROWTH);
      expect(after.temporary).toEqual(before.temporary);
      expect(after.sandboxes).toBeLessThanOrEqual(before.sandboxes);
      expect(await gateway.stop()).toEqual({ code: 0, left: [] });
    },
    LOAD_MS + WARM_UP_MS + 120_000,
  );
});

function residentMebibytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1_024);
}
