import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Caller } from '../e2e/calls.ts';
import { GatewayProcess, leftOf, TempDir } from '../e2e/processes.ts';
import { onEngine } from '../on-engine.ts';
import { onPostgres } from '../on-postgres.ts';

const SECRET = randomBytes(32).toString('hex');
const SECRETS_KEY = randomBytes(32).toString('hex');

await onEngine('bubblewrap', () => {
  onPostgres('gateways on one Postgres server', (server) => {
    const start = (dir: TempDir, url: string) => {
      writeFileSync(join(dir.path, 'jwt-secret'), SECRET, { mode: 0o600 });
      const env = { DATABASE_URL: url, JWT_SECRET: SECRET, SECRETS_KEY };
      return new GatewayProcess({ dataDir: dir.path, mode: 'bubblewrap', env });
    };

    test('start at once on an empty database, see each other’s deploys and outlive a restart of the server', async () => {
      const url = await server().createDatabase();
      using dirs = new DisposableStack();
      const [one, two] = [dirs.use(new TempDir()), dirs.use(new TempDir())];
      {
        await using here = start(one, url);
        await using there = start(two, url);
        const [a, b] = await Promise.all(
          [here, there].map(async (gateway) => Caller.of(await gateway.warm(), gateway.dataDir)),
        );
        const call = async () => {
          const response = await b!.fetch('/e/hello');
          return `${response.status} ${response.status === 200 ? await response.text() : ''}`.trim();
        };
        expect(await call()).toBe('404');
        await a!.deploy('hello', 'echo one');
        await expect.poll(call, { timeout: 1_000 }).toBe('200 one');
        const replacement = JSON.stringify({ runtime: 'bash', code: 'echo two' });
        const put = () => a!.fetch('/v1/events/hello', { method: 'PUT', body: replacement });
        expect((await put()).status).toBe(200);
        await expect.poll(call, { timeout: 1_000 }).toBe('200 two');

        const live = async () => (await b!.fetch('/e/hello:live')).headers.get('x-cronium-version');
        const point = (version: number) =>
          a!.fetch('/v1/events/hello/aliases/live', { method: 'PUT', body: JSON.stringify({ version }) });
        expect(await live()).toBeNull();
        expect((await point(1)).status).toBe(201);
        await expect.poll(live, { timeout: 1_000 }).toBe('1');
        expect((await point(2)).status).toBe(200);
        await expect.poll(live, { timeout: 1_000 }).toBe('2');

        const every = JSON.stringify({ name: 'often', event: 'hello', cron: '* * * * * *', maxRuns: 10 });
        expect((await a!.fetch('/v1/schedules', { method: 'POST', body: every })).status).toBe(201);
        const often = async () => (await b!.fetch('/v1/schedules/often')).json();
        await expect.poll(often, { timeout: 30_000 }).toMatchObject({ disabledReason: 'finished', runs: 10 });
        const rows = await server().query(
          "select payload::json->>'time' as due from invocation_payloads where payload like '%cronium.schedule%'",
          url,
        );
        const due = rows.map((row) => Date.parse(String(row.due))).sort();
        // Each second once, whichever of the two was there first.
        expect(due).toEqual(due.map((_, index) => due[0]! + index * 1_000));
        expect(due).toHaveLength(10);

        await server().stop();
        // What was called before needs no database; what would need one is told when to come again.
        expect(await call()).toBe('200 two');
        expect(await live()).toBe('2');
        const refused = await put();
        expect(refused.status).toBe(503);
        expect(refused.headers.get('retry-after')).toBe('1');
        expect(await refused.json()).toMatchObject({ code: 'store_unavailable' });
        expect((await b!.fetch('/readyz')).status).toBe(503);

        await server().start();
        await expect.poll(async () => (await b!.fetch('/readyz')).status, { timeout: 5_000 }).toBe(200);
        const calls = async () => {
          const list = await a!.fetch('/v1/events/hello/invocations');
          return ((await list.json()) as { items: unknown[] }).items.length;
        };
        await expect.poll(calls, { timeout: 10_000 }).toBeGreaterThanOrEqual(3);
        for (const gateway of [here, there]) {
          gateway.signal('SIGTERM');
          const ended = await gateway.ended;
          expect(ended.code).toBe(0);
          expect(ended.stderr).not.toContain(server().password);
        }
      }
      expect([await leftOf(one.path), await leftOf(two.path)]).toEqual([[], []]);
    });

    test('end at once, with the reason, when there is no database', async () => {
      using dir = new TempDir();
      await using gateway = start(dir, `postgres://cronium:${server().password}@127.0.0.1:1/nothing`);
      const { code, stderr } = await gateway.ended;
      expect(code).toBe(1);
      expect(stderr).toMatch(/DATABASE_URL: the database cannot be used: .*ECONNREFUSED/);
      expect(stderr).not.toContain(server().password);
    });
  });
});
