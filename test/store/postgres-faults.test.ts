import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Invocation } from '../../src/core/invocation.ts';
import type { Store } from '../../src/core/store.ts';
import { cacheEvents } from '../../src/store/event-cache.ts';
import { WriteBehindRecorder } from '../../src/store/recorder.ts';
import { openStore } from '../../src/store/store.ts';
import { draft, invocation } from '../contract/store.ts';
import { body, Harness, jsonOf } from '../http/harness.ts';
import { onPostgres } from '../on-postgres.ts';

const away = { code: 'store_unavailable', status: 503, retryAfterSeconds: 1 };

/** What every one of them came to, and how long the slowest took, ms. */
async function outcomes(tries: readonly Promise<unknown>[]): Promise<{ codes: string[]; ms: number }> {
  const begun = performance.now();
  const results = await Promise.allSettled(tries);
  const codes = results.map((result) =>
    result.status === 'fulfilled' ? 'ok' : String((result.reason as { code?: unknown }).code),
  );
  return { codes: [...new Set(codes)].sort(), ms: performance.now() - begun };
}

onPostgres('a Postgres server that fails', (server) => {
  let url: string;
  let store: Store;
  let errors: unknown[];
  beforeEach(async () => {
    errors = [];
    url = await server().createDatabase();
    store = await openStore({ url, secretsKey: randomBytes(32), onError: (error) => errors.push(error) });
  });
  afterEach(() => store[Symbol.asyncDispose]());

  const answersAgain = () =>
    expect
      .poll(
        () =>
          store.ping().then(
            () => true,
            () => false,
          ),
        { timeout: 10_000 },
      )
      .toBe(true);
  const saved = async (records: readonly Invocation[]) => {
    const rows = await server().query('select id from invocations', url);
    const ids = new Set(rows.map((row) => row.id));
    return records.filter((record) => ids.has(record.id)).length;
  };

  test.each(['fast', 'immediate'] as const)(
    'is stopped (%s) and started again: calls are refused quickly meanwhile, and all goes on afterwards',
    async (how) => {
      const events = cacheEvents(store.events);
      const event = await events.create('alice', draft());
      await events.find('hello');
      const writeErrors: unknown[] = [];
      const recorder = new WriteBehindRecorder(store.invocations, {
        delayMs: 5,
        maxBackoffMs: 200,
        onError: (error) => writeErrors.push(error),
      });
      const records = Array.from({ length: 300 }, () => invocation());
      const busy = outcomes(Array.from({ length: 40 }, () => store.events.list('alice')));
      for (const record of records.slice(0, 100)) recorder.record(record);
      await server().stop(how);
      for (const code of (await busy).codes) expect(['ok', 'store_unavailable']).toContain(code);

      const { codes, ms } = await outcomes([
        store.ping(),
        store.events.find('hello'),
        store.events.create('bob', draft({ name: 'other' })),
        store.events.replace('alice', 'hello', draft({ code: 'two' })),
        store.invocations.save([invocation()]),
        ...Array.from({ length: 50 }, () => store.ping()),
      ]);
      expect(codes).toEqual(['store_unavailable']);
      expect(ms).toBeLessThan(2_000);
      await expect(store.ping()).rejects.toMatchObject(away);
      expect(await events.find('hello')).toEqual(event);
      for (const record of records.slice(100)) recorder.record(record);
      await expect.poll(() => writeErrors.length).toBeGreaterThan(1);

      await server().start();
      await answersAgain();
      await expect.poll(() => recorder.waiting, { timeout: 5_000 }).toBe(0);
      expect(await saved(records)).toBe(300);
      expect(recorder.dropped).toBe(0);
      expect(await store.events.find('hello')).toEqual(event);
      await recorder.close();
    },
  );

  test('has its connections cut under load: each write fails or is there, and none is half there', async () => {
    const written: Invocation[] = [];
    const failed: Invocation[][] = [];
    const codes = new Set<unknown>();
    let cuts = 0;
    let done = false;
    const writer = async () => {
      while (!done) {
        const batch = Array.from({ length: 120 }, () => invocation());
        await store.invocations.save(batch).then(
          () => written.push(...batch),
          (error: { code?: unknown }) => {
            codes.add(error.code);
            failed.push(batch);
          },
        );
      }
    };
    const writers = [writer(), writer(), writer()];
    for (let round = 0; round < 15; round++) {
      await sleep(60);
      cuts += await server().cutConnections();
    }
    done = true;
    await Promise.all(writers);
    expect(cuts).toBeGreaterThan(15);
    expect([...codes]).toEqual(['store_unavailable']);
    expect(await saved(written)).toBe(written.length);
    for (const batch of failed) expect([0, batch.length]).toContain(await saved(batch));
  });

  test('cuts idle connections: they are replaced, and that is reported', async () => {
    await Promise.all(Array.from({ length: 10 }, () => store.ping()));
    expect(await server().cutConnections()).toBeGreaterThan(1);
    await expect.poll(() => errors.length).toBe(1);
    await answersAgain();
    const { codes } = await outcomes(Array.from({ length: 30 }, () => store.ping()));
    expect(codes).toEqual(['ok']);
  });

  test('hangs: queries end by themselves, and the connections that hung are not used again', async () => {
    await store.events.create('alice', draft());
    await server().freeze();
    try {
      const begun = performance.now();
      const { codes } = await outcomes([
        store.ping(),
        store.events.find('hello'),
        store.events.list('alice'),
      ]);
      expect(codes).toEqual(['store_unavailable']);
      expect(performance.now() - begun).toBeLessThan(8_000);
    } finally {
      await server().thaw();
    }
    await answersAgain();
    const { codes } = await outcomes(Array.from({ length: 30 }, () => store.events.find('hello')));
    expect(codes).toEqual(['ok']);
  });

  test('hangs: a store is closed nevertheless, with all its connections', async () => {
    const own = await openStore({ url: await server().createDatabase(), secretsKey: randomBytes(32) });
    await Promise.all(Array.from({ length: 10 }, () => own.ping()));
    await server().freeze();
    try {
      const begun = performance.now();
      const asked = own.ping().catch((error: { code?: unknown }) => error.code);
      await own[Symbol.asyncDispose]();
      expect(performance.now() - begun).toBeLessThan(4_000);
      expect(await asked).toBe('store_unavailable');
    } finally {
      await server().thaw();
    }
  });

  test('refuses one record of a batch: the others are written, and that one is reported', async () => {
    const refused: string[] = [];
    const recorder = new WriteBehindRecorder(store.invocations, {
      onRefused: (_error, id) => refused.push(id),
    });
    const poison = invocation({ eventVersion: 2 ** 40 });
    const records = [...Array.from({ length: 30 }, () => invocation()), poison, invocation()];
    for (const record of records) recorder.record(record);
    await recorder.flush();
    expect(refused).toEqual([poison.id]);
    expect(await saved(records)).toBe(31);
    expect(await recorder.close()).toBe(1);
  });

  test('has a lock held by another one: who waits for it is refused in time', async () => {
    await store.events.create('alice', draft());
    const held = server().query(
      "begin; update events set description = 'x'; select pg_sleep(7); commit",
      url,
    );
    await sleep(200);
    const begun = performance.now();
    await expect(store.events.replace('alice', 'hello', draft())).rejects.toMatchObject(away);
    expect(performance.now() - begun).toBeLessThan(6_500);
    await store.ping();
    await held;
    expect(await store.events.replace('alice', 'hello', draft())).toBeDefined();
  });

  test('turns read-only and back: reads go on, writes are refused until it is back', async () => {
    await store.events.create('alice', draft());
    const set = async (state: 'on' | 'off') => {
      await server().query(`alter system set default_transaction_read_only = ${state}`);
      await server().query('select pg_reload_conf()');
    };
    const write = () =>
      store.invocations.save([invocation()]).then(
        () => 'ok',
        (error) => error.code,
      );
    await set('on');
    try {
      await expect.poll(write).toBe('store_unavailable');
      expect(await store.events.find('hello')).toBeDefined();
    } finally {
      await server().query('begin read write; commit');
      await set('off');
    }
    await expect.poll(write).toBe('ok');
  });

  test('is away for the API: 503 with a code and Retry-After, and 201 when it is back', async () => {
    await using harness = await Harness.open({ events: store.events, invocations: store.invocations });
    await server().stop();
    const refused = await harness.send('POST', '/v1/events', body());
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('1');
    const problem = await jsonOf<{ code: string; detail: string }>(refused);
    expect(problem.code).toBe('store_unavailable');
    expect(problem.detail).not.toMatch(/127\.0\.0\.1|ECONN/);
    await server().start();
    await answersAgain();
    expect((await harness.send('POST', '/v1/events', body())).status).toBe(201);
  });
});
