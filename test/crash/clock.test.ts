import { existsSync, globSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { TempDir } from '../e2e/processes.ts';
import { eventually, Served } from '../faults/served.ts';
import { onEngine } from '../on-engine.ts';
import { onPostgres } from '../on-postgres.ts';
import { Senders } from './senders.ts';
import { postgresStore, type Store, sqliteStore } from './stores.ts';

const POOLS = { POOL_MIN: '0', POOL_TARGET: '2', MAX_CONCURRENT_EXECUTIONS: '4' };
const HOUR_SECONDS = 3_600;
const SLOW = 'sleep 3; echo done';
const FAILS = 'exit 1';
const RETRIES = { attempts: 3, backoffMs: 400, maxBackoffMs: 800 };

/** `undefined`, or in CI an error, where there is none. */
function findFaketime(): string | undefined {
  const found = globSync('/usr/lib/*/faketime/libfaketime.so.1').find((path) => existsSync(path));
  if (found !== undefined) return found;
  const reason = 'there is no libfaketime here; on Debian: apt-get install faketime';
  if (process.env.CI) throw new Error(reason);
  console.log(`skips: a clock that is moved: ${reason}`);
  return undefined;
}

/** The clock of one process, which can be moved while it runs. Its monotonic clock is not: no machine's is. */
class MovableClock implements Disposable {
  readonly #dir = new TempDir();
  readonly env: Record<string, string>;

  constructor(library: string) {
    this.env = {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: `${this.#dir.path}/offset`,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
  }

  async move(seconds: number): Promise<void> {
    await writeFile(this.env.FAKETIME_TIMESTAMP_FILE!, `${seconds < 0 ? '' : '+'}${seconds}s\n`);
  }

  [Symbol.dispose](): void {
    this.#dir[Symbol.dispose]();
  }
}

async function deploy(gateway: Served): Promise<void> {
  await Senders.deploy(gateway);
  await gateway.deploy('slow', 'bash', SLOW);
  await gateway.deploy('fails', 'bash', FAILS, { async: RETRIES });
}

async function accept(gateway: Served, event: string): Promise<string> {
  const answer = await gateway.send(`/e/${event}`, { method: 'POST', headers: { prefer: 'respond-async' } });
  expect(answer.status, answer.body).toBe(202);
  return (JSON.parse(answer.body) as { id: string }).id;
}

/** Each ended as it ought to, and none was begun more often than its failures explain. */
async function expectEnded(store: Store, ids: Record<'job' | 'slow' | 'fails', string[]>): Promise<void> {
  const rows = () => store.query('select id, status, attempt from invocations');
  const unended = (found: Record<string, unknown>[]) =>
    found.filter(({ status }) => status === 'queued' || status === 'running');
  await eventually('end', async () => (unended(await rows()).length === 0 ? true : undefined));
  const byId = new Map((await rows()).map((row) => [row.id, [row.status, Number(row.attempt)]]));
  for (const id of [...ids.job, ...ids.slow]) expect(byId.get(id)).toEqual(['succeeded', 1]);
  for (const id of ids.fails) expect(byId.get(id)).toEqual(['dead', RETRIES.attempts]);
}

const library = findFaketime();

await onEngine('bubblewrap', () => {
  describe.skipIf(library === undefined)('a clock that is moved by an hour', () => {
    test('delays nothing and doubles nothing on SQLite', async () => {
      using store = await sqliteStore();
      using clock = new MovableClock(library!);
      await clock.move(0);
      const env = { ...store.env, ...POOLS, ...clock.env };
      await using gateway = await Served.start({ dataDir: store.dataDir, env });
      await deploy(gateway);
      const ids = { job: [] as string[], slow: [] as string[], fails: [] as string[] };
      for (const offset of [HOUR_SECONDS, 0, -HOUR_SECONDS]) {
        for (const event of ['slow', 'fails', 'job'] as const) ids[event].push(await accept(gateway, event));
        await sleep(300);
        await clock.move(offset);
        ids.job.push(await accept(gateway, 'job'));
      }
      await expectEnded(store, ids);
      expect(await gateway.stop()).toEqual({ code: 0, left: [] });
    }, 60_000);

    onPostgres('on Postgres', (server) => {
      test('takes nothing from one of three gateways that share it', async () => {
        using store = await postgresStore(server());
        await using gateways = new AsyncDisposableStack();
        const all: Served[] = [];
        for (const offset of [0, HOUR_SECONDS, -HOUR_SECONDS]) {
          const clock = gateways.use(new MovableClock(library!));
          await clock.move(offset);
          const env = { ...store.env, ...POOLS, ...clock.env };
          all.push(gateways.use(await Served.start({ dataDir: `${store.dataDir}${offset}`, env })));
        }
        await deploy(all[0]!);
        const ids = { job: [] as string[], slow: [] as string[], fails: [] as string[] };
        for (const gateway of all) {
          for (const event of ['slow', 'fails', 'job'] as const)
            ids[event].push(await accept(gateway, event));
        }
        await expectEnded(store, ids);
        for (const gateway of all) expect(await gateway.stop()).toEqual({ code: 0, left: [] });
      }, 120_000);
    });
  });
});
