import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { eventually, Served } from '../faults/served.ts';
import { onEngine } from '../on-engine.ts';
import { onPostgres } from '../on-postgres.ts';
import { Senders } from './senders.ts';
import { postgresStore } from './stores.ts';

const POOLS = { POOL_MIN: '0', POOL_TARGET: '2', MAX_CONCURRENT_EXECUTIONS: '4' };
const LEASE_MS = 2_000;

await onEngine('bubblewrap', () => {
  onPostgres('gateways on one Postgres', (server) => {
    test('finish what one that is frozen past its lease had begun, and its late result is refused', async () => {
      using store = await postgresStore(server());
      const start = (name: string) =>
        Served.start({
          dataDir: `${store.dataDir}-${name}`,
          env: { ...store.env, ...POOLS, LEASE_MS: String(LEASE_MS) },
        });
      await using frozen = await start('frozen');
      const senders = new Senders();
      senders.gateway = frozen;
      await Senders.deploy(frozen);
      await frozen.deploy('slow', 'bash', 'sleep 2; echo done');
      const answer = await frozen.send('/e/slow', { method: 'POST', headers: { prefer: 'respond-async' } });
      expect(answer.status, answer.body).toBe(202);
      const { id } = JSON.parse(answer.body) as { id: string };
      senders.calls.add(id);
      const row = async () => (await store.query(`select * from invocations where id = '${id}'`))[0]!;
      await eventually('its claim', async () => ((await row()).status === 'running' ? true : undefined));

      // Its sandbox goes on without it, and has an answer that nobody reads.
      await sleep(500);
      frozen.process.signal('SIGSTOP');
      await using second = await start('second');
      await using third = await start('third');
      senders.gateway = second;
      senders.start();
      try {
        await eventually('another’s success', async () =>
          (await row()).status === 'succeeded' ? true : undefined,
        );
        const before = await row();
        expect(Number(before.attempt)).toBe(2);
        frozen.process.signal('SIGCONT');
        await eventually('refusal of the late result', async () =>
          (await frozen.metric('cronium_durable_fenced_total')) > 0 ? true : undefined,
        );
        expect(await row()).toEqual(before);
        senders.gateway = frozen;
        const promised = senders.promised + 5;
        await eventually('new promises', async () => (senders.promised >= promised ? true : undefined));
      } finally {
        frozen.process.signal('SIGCONT');
        await senders.stop();
      }
      await senders.expectKept(store);
      for (const gateway of [frozen, second, third])
        expect(await gateway.stop()).toEqual({ code: 0, left: [] });
    }, 120_000);
  });
});
