import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { eventually, Served } from '../faults/served.ts';
import { onEngine } from '../on-engine.ts';
import { onPostgres } from '../on-postgres.ts';
import { Senders } from './senders.ts';
import { postgresStore, sqliteStore } from './stores.ts';

const run = promisify(execFile);
const POOLS = { POOL_MIN: '0', POOL_TARGET: '2', MAX_CONCURRENT_EXECUTIONS: '4' };
const asRoot = process.getuid?.() === 0;
const ENOUGH = 10;

/** Waits until so many more have been promised: what is about to break breaks in the middle of work. */
async function morePromises(senders: Senders, more = ENOUGH): Promise<void> {
  const wanted = senders.promised + more;
  await eventually('promises', async () => (senders.promised >= wanted ? true : undefined));
}

await onEngine('bubblewrap', () => {
  test.skipIf(!asRoot)(
    'what was accepted runs though the disk of the SQLite database was full',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'cronium-disk-'));
      await run('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'cronium-test', folder]);
      const filler = join(folder, 'filler');
      try {
        using store = await sqliteStore(folder);
        await using gateway = await Served.start({ dataDir: store.dataDir, env: { ...store.env, ...POOLS } });
        const senders = new Senders();
        senders.gateway = gateway;
        await Senders.deploy(gateway);
        senders.start();
        try {
          await morePromises(senders);
          await writeFile(filler, Buffer.alloc(2 ** 22)).catch(() => {});
          await eventually('refusal', async () => {
            const body = JSON.stringify('x'.repeat(100_000));
            const answer = await gateway.send('/e/job', {
              method: 'POST',
              headers: { prefer: 'respond-async' },
              body,
            });
            if (answer.status === 202) senders.calls.add((JSON.parse(answer.body) as { id: string }).id);
            if (answer.status !== 503) return undefined;
            expect(answer.problem?.code).toBe('store_unavailable');
            expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
            return true;
          });
          await sleep(500);
          await rm(filler);
          await morePromises(senders);
        } finally {
          await senders.stop();
        }
        await senders.expectKept(store);
        expect(await gateway.stop()).toEqual({ code: 0, left: [] });
      } finally {
        await run('umount', [folder]);
        await rm(folder, { recursive: true });
      }
    },
    120_000,
  );

  onPostgres('what was accepted runs though the Postgres server', (server) => {
    test('was killed under load and its connections were cut', async () => {
      using store = await postgresStore(server());
      await using gateway = await Served.start({ dataDir: store.dataDir, env: { ...store.env, ...POOLS } });
      const senders = new Senders();
      senders.gateway = gateway;
      await Senders.deploy(gateway);
      senders.start();
      try {
        for (let round = 0; round < 3; round++) {
          await morePromises(senders);
          expect(await server().cutConnections()).toBeGreaterThan(0);
          await morePromises(senders);
          await server().stop('immediate');
          await sleep(300);
          await server().start();
        }
        await morePromises(senders);
      } finally {
        await senders.stop();
      }
      await senders.expectKept(store);
      expect(await gateway.stop()).toEqual({ code: 0, left: [] });
    }, 180_000);
  });
});
