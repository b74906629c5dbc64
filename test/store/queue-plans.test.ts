import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pg from 'pg';
import { expect, test, vi } from 'vitest';
import type { Store } from '../../src/core/store.ts';
import { openStore } from '../../src/store/store.ts';
import { request } from '../contract/queue.ts';
import { draft, RECORD } from '../contract/samples.ts';
import { TempDir } from '../e2e/processes.ts';
import { onPostgres } from '../on-postgres.ts';

const secretsKey = randomBytes(32);
const LEASE = 'gateway:1';
const ENDED_ROWS = 50_000;
const BACKLOG = 4_000;
/** These grow with every invocation there ever was: nothing that the queue does again and again may read them from end to end. */
const LARGE = 'invocations|invocation_payloads|invocation_results|dedup_keys|deliveries';

/** Some that wait, of several owners and events, one of them bounded; and one that has ended, with somebody to tell. */
async function fill(store: Store): Promise<void> {
  for (const [index, owner] of ['alice', 'bob', 'carol'].entries()) {
    const async = index === 0 ? { concurrency: 5 } : {};
    const event = await store.events.create(owner, draft({ name: `of-${owner}`, async }));
    await store.queue.enqueue(Array.from({ length: 200 }, () => request(event)));
    await store.queue.enqueue([request(event, { delayMs: 600_000 })]);
  }
  const [held] = await store.queue.claim('gateway:2', 1, 60_000);
  const deliveries = [{ id: 'd', kind: 'callback', url: 'https://example.com/' } as const];
  await store.queue.end(held!, { status: 'dead', record: RECORD, failed: true, deliveries });
}

/** All that a gateway asks of the queue while it works. */
async function work({ queue, deliveries, events, retention }: Store): Promise<void> {
  const event = (await events.find('of-bob'))!;
  await queue.enqueue([request(event, { dedup: { scope: 's', key: 'k', ttlMs: 1_000 } })]);
  await queue.enqueue([request(event, { dedup: { scope: 's', key: 'k', ttlMs: 1_000 } })]);
  // The second goes on where the first one's turn ended.
  const [one, two, three, four] = [
    ...(await queue.claim(LEASE, 2, 60_000)),
    ...(await queue.claim(LEASE, 2, 60_000)),
  ];
  await queue.renew(LEASE, 60_000);
  await queue.reclaim(LEASE);
  await queue.end(one!, { status: 'dead', record: RECORD, failed: true });
  await queue.retry(two!, { record: RECORD, delayMs: 600_000, failed: true });
  await queue.release([three!]);
  await queue.cancel(four!.id);
  await queue.nextDueMs();
  await queue.depth();
  await queue.redrive({ ownerId: 'alice', eventName: 'of-alice', limit: 10 });
  const [delivery] = await deliveries.claim(2, 60_000);
  await deliveries.retry(delivery!, 60_000, 'no');
  await deliveries.nextDueMs();
  await deliveries.end(delivery!, 'failed', 'no');
  await retention.pruneExpired(10);
}

const isPlanned = (text: string) => /^\s*(select|with|update|delete)\b/i.test(text);

test('on SQLite the queue reads no large table from end to end', async () => {
  using dir = new TempDir();
  const path = join(dir.path, 'cronium.db');
  await using store = await openStore({ path, secretsKey });
  await fill(store);
  const prepare = vi.spyOn(DatabaseSync.prototype, 'prepare');
  await work(store);
  const asked = [...new Set(prepare.mock.calls.map(([text]) => text))].filter(isPlanned);
  prepare.mockRestore();
  expect(asked.length).toBeGreaterThan(15);
  using database = new DatabaseSync(path, { readOnly: true });
  // An index whose predicate is that something waits or runs has those rows alone.
  const scan = new RegExp(`^SCAN (${LARGE}|waiting)( USING INTEGER PRIMARY KEY)?$`);
  const scans = asked.flatMap((text) =>
    database
      .prepare(`explain query plan ${text}`)
      .all()
      .filter(({ detail }) => scan.test(String(detail)))
      .map(({ detail }) => `${detail}: ${text}`),
  );
  expect(scans).toEqual([]);
});

onPostgres('on Postgres', (server) => {
  test('the queue reads no large table from end to end, beside many that have ended', async () => {
    const url = await server().createDatabase();
    await using store = await openStore({ url, secretsKey });
    await fill(store);
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      await client.query(`insert into invocations select ended.*
        from invocations i, generate_series(1, ${ENDED_ROWS}) n, lateral jsonb_populate_record(i, jsonb_build_object(
          'id', gen_random_uuid(), 'owner_id', 'owner ' || n % 100, 'status', 'succeeded')) ended
        where i.status = 'dead'`);
      await client.query(`insert into invocation_payloads
        select id, '{}' from invocations where status = 'succeeded'`);
      await client.query(`insert into invocation_results
        select id, 200, '{}', '[]', '', 0 from invocations where status = 'succeeded'`);
      await client.query(`insert into dedup_keys
        select 'scope', id, id, 9000000000000000 from invocations where status = 'succeeded'`);
      await client.query(`insert into deliveries
        select id, id, 'callback', 'https://example.com/', 'delivered', 1, null, 0, null
        from invocations where status = 'succeeded'`);
      await client.query('analyze');
      const query = vi.spyOn(pg.Client.prototype, 'query');
      await work(store);
      const asked = new Map<string, unknown[]>();
      for (const [text, values] of query.mock.calls as unknown as [unknown, unknown[] | undefined][])
        if (typeof text === 'string' && isPlanned(text)) asked.set(text, values ?? []);
      query.mockRestore();
      expect(asked.size).toBeGreaterThan(15);
      const scan = new RegExp(`Seq Scan on (${LARGE})\\b`);
      const scans: string[] = [];
      for (const [text, values] of asked) {
        const { rows } = await client.query<{ 'QUERY PLAN': string }>(`explain ${text}`, values);
        const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
        if (scan.test(plan)) scans.push(`${text}\n${plan}`);
      }
      expect(scans).toEqual([]);
    } finally {
      await client.end();
    }
  });

  test('a claim reads little of a backlog that Postgres has not counted yet', async () => {
    const url = await server().createDatabase();
    await using store = await openStore({ url, secretsKey });
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      await client.query('alter table invocations set (autovacuum_enabled = false)');
      const event = await store.events.create('alice', draft());
      await store.queue.enqueue(Array.from({ length: BACKLOG }, () => request(event)));
      const query = vi.spyOn(pg.Client.prototype, 'query');
      // The second begins where the first one's turn ended.
      for (let n = 0; n < 2; n++) expect(await store.queue.claim(LEASE, 2, 60_000)).toHaveLength(2);
      const asked = (query.mock.calls as unknown as [unknown, unknown[]?][]).filter(
        ([text]) => typeof text === 'string' && isPlanned(text),
      );
      query.mockRestore();
      expect(asked.length).toBeGreaterThan(4);
      const read: [number, unknown][] = [];
      for (const [text, values] of asked) {
        const { rows } = await client.query<{ 'QUERY PLAN': string }>(`explain analyze ${text}`, values);
        const counts = rows.flatMap((row) => [...row['QUERY PLAN'].matchAll(/actual .* rows=(\d+)/g)]);
        read.push([Math.max(...counts.map(([, count]) => Number(count))), text]);
      }
      expect(read.filter(([count]) => count > BACKLOG / 4)).toEqual([]);
    } finally {
      await client.end();
    }
  });
});
