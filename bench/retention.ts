/**
 * Does pruning make anybody wait? Saves records and reads them, on SQLite, while nothing is pruned and while many rows are.
 * Usage: npm run bench:retention -- [rows]
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { v7 as uuidv7 } from 'uuid';
import { Retention } from '../src/core/retention.ts';
import type { Store } from '../src/core/store.ts';
import { openStore } from '../src/store/store.ts';
import { invocation } from '../test/contract/samples.ts';

const ROWS = Number(process.argv[2] ?? 100_000);
const DAY_MS = 86_400_000;
const OLD = new Date(Date.now() - 60 * DAY_MS);
const BASELINE_MS = 5_000;

/** Times of one write and one read, ms, every 5 ms until it is told to stop. */
async function work(store: Store, until: Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  let done = false;
  until.then(() => {
    done = true;
  });
  while (!done) {
    const record = invocation({ createdAt: new Date(), endedAt: new Date() });
    const began = performance.now();
    await store.invocations.save([record]);
    await store.invocations.find(record.id);
    times.push(performance.now() - began);
    await sleep(5);
  }
  return times.sort((a, b) => a - b);
}

function report(name: string, times: number[]): void {
  const at = (share: number) => times[Math.floor(times.length * share)]?.toFixed(2);
  console.log(`${name.padEnd(14)} p50 ${at(0.5)} ms   p99 ${at(0.99)} ms   of ${times.length}`);
}

const folder = await mkdtemp(join(tmpdir(), 'cronium-retention-'));
try {
  await using store = await openStore({ path: join(folder, 'cronium.db'), secretsKey: randomBytes(32) });
  for (let done = 0; done < ROWS; done += 1_000) {
    const old = () => ({ id: uuidv7({ msecs: OLD.getTime() }), createdAt: OLD, endedAt: OLD });
    await store.invocations.save(Array.from({ length: 1_000 }, () => invocation(old())));
  }
  report('at rest', await work(store, sleep(BASELINE_MS)));
  let pruned = 0;
  const retention = new Retention(store.retention, {
    days: { records: 30, bodies: 0, logs: 0 },
    maxBodyBytes: 0,
    everyMs: 60_000,
    pauseMs: 50,
    batchRows: 200,
    expired: [],
    now: () => new Date(),
    onPruned: (_what, rows) => {
      pruned += rows;
    },
    onError: console.error,
  });
  report('while pruning', await work(store, retention.sweep()));
  console.log(`${pruned} rows pruned`);
} finally {
  await rm(folder, { recursive: true, force: true });
}
