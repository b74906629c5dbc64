import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { leftOf } from '../e2e/processes.ts';
import { Served } from '../faults/served.ts';
import { onEngine } from '../on-engine.ts';
import { onPostgres } from '../on-postgres.ts';
import type { KillPoint } from './kill-at.ts';
import { Senders } from './senders.ts';
import { postgresStore, type Store, sqliteStore } from './stores.ts';

/** A few in every run of the tests; the figures in the documentation are of many. */
const KILLS = Number(process.env.CRONIUM_KILLS ?? 3);
/** Long enough that work gets done between most deaths: ten of them in the middle of one invocation end it. */
const LONGEST_LIFE_MS = 3_000;
const POOLS = { POOL_MIN: '0', POOL_TARGET: '2', MAX_CONCURRENT_EXECUTIONS: '4' };
const PRELOAD = new URL('./kill-at.ts', import.meta.url).href;

const ACCEPT = 'insert into "invocations"';
const CLAIM = 'update "invocations" set .*"attempt"';
const END = 'insert into "invocation_results"';
/** Every step between accepting work and keeping its result. */
const STEPS: [string, Omit<KillPoint, 'nth'>][] = [
  ['before a call is written down', { when: 'before', sql: ACCEPT }],
  ['when it is written down and not committed', { when: 'after', sql: ACCEPT }],
  ['when it is committed and not answered', { when: 'after', sql: 'commit', since: ACCEPT }],
  ['before it is claimed', { when: 'before', sql: CLAIM }],
  ['when it is claimed and that is not committed', { when: 'after', sql: CLAIM }],
  ['when it is claimed, before it runs', { when: 'after', sql: 'commit', since: CLAIM }],
  ['when it has run, before its result is written', { when: 'before', sql: END }],
  ['when its result is written and not committed', { when: 'after', sql: END }],
  ['when its result is committed', { when: 'after', sql: 'commit', since: END }],
];

function suite(open: () => Promise<Store>): void {
  const start = (store: Store, env: Record<string, string> = {}, nodeArgs: string[] = []) =>
    Served.start({ dataDir: store.dataDir, env: { ...store.env, ...POOLS, ...env }, nodeArgs, cold: true });

  test('SIGKILL at every step between accepting work and keeping its result', async () => {
    using store = await open();
    const senders = new Senders();
    {
      await using gateway = await start(store);
      await Senders.deploy(gateway);
    }
    for (const [step, point] of STEPS) {
      const KILL_AT = JSON.stringify({ ...point, nth: 1 });
      // What the one before it left may bring it there before it listens.
      await using gateway = await start(store, { KILL_AT }, ['--import', PRELOAD]).catch((error: Error) => {
        if (error.message.includes('(SIGKILL)')) return null;
        throw error;
      });
      if (gateway === null) continue;
      senders.gateway = gateway;
      await senders.call();
      await gateway.process.until(`end ${step}`, () => !gateway.process.running).catch(() => {});
      expect(gateway.process.child.signalCode, step).toBe('SIGKILL');
    }
    await using last = await start(store);
    senders.gateway = last;
    expect(await senders.call()).toBeDefined();
    await senders.expectKept(store);
    expect(await last.stop()).toEqual({ code: 0, left: [] });
  }, 120_000);

  test(
    `SIGKILL at random moments, ${KILLS} times, under load`,
    async () => {
      using store = await open();
      const senders = new Senders();
      {
        await using gateway = await start(store);
        await Senders.deploy(gateway);
      }
      senders.start();
      try {
        for (let kill = 0; kill < KILLS; kill++) {
          await using gateway = await start(store);
          senders.gateway = gateway;
          await sleep(Math.random() * LONGEST_LIFE_MS);
          gateway.process.signal('SIGKILL');
          await gateway.process.ended;
          senders.gateway = undefined;
        }
      } finally {
        await senders.stop();
      }
      await using last = await start(store);
      await senders.expectKept(store);
      const { promised, calls, webhooks, keyed, ranAgain } = senders;
      console.log(
        `${KILLS} kills: ${promised} promises kept (calls: ${calls.size}, webhooks: ${webhooks.size}, ` +
          `calls with a key: ${keyed.size}), ran again: ${ranAgain}`,
      );
      expect(senders.promised).toBeGreaterThan(KILLS);
      expect(await last.stop()).toEqual({ code: 0, left: [] });
      expect(await leftOf(store.dataDir)).toEqual([]);
    },
    300_000 + KILLS * 10_000,
  );
}

await onEngine('bubblewrap', () => {
  describe('on SQLite', () => suite(sqliteStore));

  onPostgres('on Postgres', (server) => {
    suite(() => postgresStore(server()));
  });
});
