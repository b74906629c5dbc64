import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../src/config.ts';
import type { Store } from '../../src/core/store.ts';
import { openStore } from '../../src/store/store.ts';
import { deliveriesContract } from '../contract/deliveries.ts';
import { queueContract } from '../contract/queue.ts';
import { scheduleSettings, scheduleState } from '../contract/samples.ts';
import { draft, invocation, storeContract } from '../contract/store.ts';
import { onPostgres } from '../on-postgres.ts';

const secretsKey = randomBytes(32);

describe('DATABASE_URL', () => {
  test.each([
    'postgres://user:p%40ss@db.example:5432/cronium?sslmode=verify-full',
    'postgresql:///cronium?host=/run/postgresql',
    'postgres://user@%2Frun%2Fpostgresql/cronium',
  ])('may be %s', (url) => {
    expect(parseConfig({ DATABASE_URL: url }).DATABASE_URL).toBe(url);
  });

  test.each([
    'mysql://u:needle@h/d',
    'sqlite:needle.db',
    'needle',
    'postgres:needle',
    'postgres://h:needle/d',
  ])('may not be %s, and what it was is not repeated', (url) => {
    expect(() => parseConfig({ DATABASE_URL: url })).toThrow(/DATABASE_URL: must be a URL such as postgres:/);
    expect(() => parseConfig({ DATABASE_URL: url })).not.toThrow(/needle/);
  });

  test('that is empty counts as not set', () => {
    expect(parseConfig({ DATABASE_URL: '' }).DATABASE_URL).toBeUndefined();
  });
});

onPostgres('on a Postgres server', (server) => {
  /** Migrated once and copied for each test: that is much quicker. */
  let migrated: Promise<string> | undefined;
  const migrate = async () => {
    const url = await server().createDatabase();
    await (await openStore({ url, secretsKey }))[Symbol.asyncDispose]();
    return url;
  };
  const openMigrated = async () => {
    migrated ??= migrate();
    return openStore({ url: await server().createDatabase({ template: await migrated }), secretsKey });
  };
  queueContract('Postgres', openMigrated);
  deliveriesContract('Postgres', openMigrated);
  storeContract('Postgres', openMigrated);

  describe('a database', () => {
    test('is pruned by one gateway at a time', async () => {
      const url = await server().createDatabase();
      await using store = await openStore({ url, secretsKey });
      await store.invocations.save([invocation({ endedAt: new Date(0) })]);
      const prune = () =>
        store.retention.prune('records', { after: '', endedBefore: new Date('2100-01-01'), limit: 10 });
      const other = new pg.Client({ connectionString: url });
      await other.connect();
      try {
        await other.query('begin');
        await other.query('select pg_advisory_xact_lock(7236501)');
        expect(await prune()).toBeUndefined();
        await other.query('rollback');
      } finally {
        await other.end();
      }
      expect(await prune()).toMatchObject({ pruned: 1 });
    });

    test('gives an owner no more than 1,000 schedules, however many gateways are asked at once', async () => {
      const url = await server().createDatabase();
      await using one = await openStore({ url, secretsKey });
      await using two = await openStore({ url, secretsKey });
      const create = (store: Store, name: string, id = 'alice') =>
        store.schedules.create({ id, tier: null }, scheduleSettings({ name }), scheduleState());
      await create(one, 'first');
      await server().query(
        `insert into schedules select made.* from schedules, generate_series(1, 989) i,
          jsonb_populate_record(schedules, jsonb_build_object('id', 'id-' || i, 'name', 'n' || i)) made`,
        url,
      );
      const names = Array.from({ length: 20 }, (_, index) => `at-once-${index}`);
      const all = names.flatMap((name) => [create(one, name), create(two, `${name}-too`)]);
      const outcomes = await Promise.allSettled(all);
      const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
      for (const { reason } of refused) expect(reason).toMatchObject({ code: 'schedule_quota_exceeded' });
      expect(refused).toHaveLength(30);
      expect(await one.schedules.list('alice')).toHaveLength(1_000);
      await create(two, 'first', 'bob');
    });

    test('holds everything over a restart of the gateway', async () => {
      const url = await server().createDatabase();
      const record = invocation();
      await using first = await openStore({ url, secretsKey });
      const event = await first.events.create('alice', draft());
      await first.invocations.save([record]);
      await first[Symbol.asyncDispose]();

      await using second = await openStore({ url, secretsKey });
      expect(await second.events.find('hello')).toEqual(event);
      expect(await second.invocations.find(record.id)).toEqual(record);
    });

    test('is reached over a Unix socket too', async () => {
      const url = await server().createDatabase();
      await using store = await openStore({ url: server().socketUrl(url), secretsKey });
      await store.ping();
    });

    test('has no secret in the clear', async () => {
      const url = await server().createDatabase();
      await using store = await openStore({ url, secretsKey });
      await store.events.create('alice', draft({ secrets: { TOKEN: 'findable-needle' } }));
      const [row] = await server().query('select secrets from event_versions', url);
      expect(row?.secrets).toMatch(/^[A-Za-z0-9+/]+=*$/);
    });

    test('is refused with another key, and the refusal names SECRETS_KEY', async () => {
      const url = await server().createDatabase();
      await (await openStore({ url, secretsKey }))[Symbol.asyncDispose]();
      const opened = openStore({ url, secretsKey: randomBytes(32) });
      await expect(opened).rejects.toThrow(/SECRETS_KEY is not the key/);
    });

    test('refuses to change a version, whoever asks', async () => {
      const url = await server().createDatabase();
      await using store = await openStore({ url, secretsKey });
      await store.events.create('alice', draft());
      const change = server().query("update event_versions set code = 'evil'", url);
      await expect(change).rejects.toThrow(/never changes/);
    });

    test('is refused in an encoding that cannot hold every text', async () => {
      const url = await server().createDatabase({ encoding: 'LATIN1' });
      await expect(openStore({ url, secretsKey })).rejects.toThrow(/DATABASE_URL.*LATIN1.*UTF8/);
    });

    test.each([
      ['with another password', (url: URL) => (url.password = 'wrong-needle'), /password authentication/],
      ['that is not there', (url: URL) => (url.pathname = '/nothing'), /"nothing" does not exist/],
      ['where nobody listens', (url: URL) => (url.port = '1'), /ECONNREFUSED/],
    ])('%s is refused at start, with the reason and no password', async (_what, change, reason) => {
      const url = new URL(await server().createDatabase());
      change(url);
      const error = await openStore({ url: url.href, secretsKey }).then(
        () => undefined,
        (error: unknown) => error as Error,
      );
      expect(error?.message).toMatch(/^DATABASE_URL: /);
      expect(error?.message).toMatch(reason);
      expect(error?.message).not.toMatch(/needle|wrong/);
      expect(error?.message).not.toContain(server().password);
    });

    test('keeps no connection of a store that is closed', async () => {
      const url = await server().createDatabase();
      const store = await openStore({ url, secretsKey });
      await Promise.all(Array.from({ length: 20 }, () => store.ping()));
      const count = async () =>
        Number(
          (
            await server().query(
              "select count(*) from pg_stat_activity where application_name = 'cronium-gateway'",
            )
          )[0]?.count,
        );
      expect(await count()).toBeGreaterThan(2);
      await store[Symbol.asyncDispose]();
      await expect.poll(count).toBe(0);
    });

    test('takes a big batch with an all-or-none save', async () => {
      await using store = await openStore({ url: await server().createDatabase(), secretsKey });
      const good = Array.from({ length: 150 }, () => invocation());
      const bad = invocation({ eventVersion: undefined as unknown as number });
      await expect(store.invocations.save([...good, bad])).rejects.toMatchObject({ code: '23502' });
      expect((await store.invocations.listByEvent('alice', 'hello', { limit: 10 })).items).toEqual([]);
      await store.invocations.save(good);
      expect((await store.invocations.listByEvent('alice', 'hello', { limit: 200 })).items).toHaveLength(150);
    });
  });
});
