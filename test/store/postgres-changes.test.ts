import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Store } from '../../src/core/store.ts';
import { type CachedEvents, cacheEvents } from '../../src/store/event-cache.ts';
import { openStore } from '../../src/store/store.ts';
import { draft } from '../contract/store.ts';
import { onPostgres } from '../on-postgres.ts';

const WITHIN_MS = 1_000;

onPostgres('two gateways on one Postgres server', (server) => {
  let stores: [Store, Store];
  let here: CachedEvents;
  let there: CachedEvents;
  beforeEach(async () => {
    const options = { url: await server().createDatabase(), secretsKey: randomBytes(32) };
    stores = await Promise.all([openStore(options), openStore(options)]);
    // Misses are believed for ever, so that only being told of a change can end it.
    [here, there] = stores.map((store) => {
      const events = cacheEvents(store.events, { missTtlMs: 0 });
      store.onEventChanged((name) => events.forget(name));
      return events;
    }) as [CachedEvents, CachedEvents];
  });
  afterEach(async () => {
    for (const store of stores) await store[Symbol.asyncDispose]();
  });

  const seenThere = () =>
    there.find('hello').then(
      (event) => event?.current.code,
      () => 'away',
    );
  const soon = { timeout: WITHIN_MS, interval: 5 };

  test('see each other’s deploys, rollbacks and removals within a second', async () => {
    expect(await seenThere()).toBeUndefined();
    await here.create('alice', draft({ code: 'one' }));
    await expect.poll(seenThere, soon).toBe('one');
    await here.replace('alice', 'hello', draft({ code: 'two' }));
    await expect.poll(seenThere, soon).toBe('two');
    await here.rollback('alice', 'hello', 1);
    await expect.poll(seenThere, soon).toBe('one');
    await here.remove('alice', 'hello');
    await expect.poll(seenThere, soon).toBeUndefined();
  });

  test('see a change of nothing but who may call', async () => {
    await here.create('alice', draft());
    await expect.poll(seenThere, soon).toBeDefined();
    await here.replace('alice', 'hello', draft({ enabled: false }));
    await expect.poll(async () => (await there.find('hello'))?.enabled, soon).toBe(false);
  });

  test('see a hundred changes, one after another, each within a second', async () => {
    await here.create('alice', draft({ code: '0' }));
    const tookMs: number[] = [];
    for (let change = 1; change <= 100; change++) {
      await here.replace('alice', 'hello', draft({ code: `${change}` }));
      const begun = performance.now();
      while ((await seenThere()) !== `${change}`) {
        if (performance.now() - begun > WITHIN_MS) throw new Error(`change ${change} is not seen`);
        await new Promise((resolve) => setImmediate(resolve));
      }
      tookMs.push(performance.now() - begun);
    }
    tookMs.sort((a, b) => a - b);
    console.log(
      `seen by the other gateway after: p50 ${tookMs[49]!.toFixed(1)} ms, max ${tookMs[99]!.toFixed(1)} ms`,
    );
  });

  test('see what was changed while they could not be told', async () => {
    await here.create('alice', draft({ code: 'before' }));
    await expect.poll(seenThere, soon).toBe('before');
    for (let round = 0; round < 10; round++) {
      await server().cutConnections();
      const code = `round ${round}`;
      await expect
        .poll(() => here.replace('alice', 'hello', draft({ code })).catch(() => undefined), soon)
        .toBeDefined();
      await expect.poll(seenThere, soon).toBe(code);
    }
  });

  test('are told again after the server was started again', async () => {
    await here.create('alice', draft({ code: 'before' }));
    await expect.poll(seenThere, soon).toBe('before');
    // What was said of the deploy may come after the first read.
    await sleep(100);
    await seenThere();
    await server().stop('immediate');
    expect(await seenThere()).toBe('before');
    await sleep(700);
    await server().start();
    const change = () => here.replace('alice', 'hello', draft({ code: 'after' })).catch(() => undefined);
    await expect.poll(change, { timeout: 10_000 }).toBeDefined();
    // The listening connection comes back at the end of its pause, which is a second at most.
    await expect.poll(seenThere, { timeout: 2 * WITHIN_MS, interval: 5 }).toBe('after');
    await here.replace('alice', 'hello', draft({ code: 'later' }));
    await expect.poll(seenThere, soon).toBe('later');
  });

  test('find out that they cannot be told, though the connection seems to be there', async () => {
    await here.create('alice', draft({ code: 'before' }));
    await expect.poll(seenThere, soon).toBe('before');
    await sleep(100);
    await seenThere();
    const listening = await server().query("select pid from pg_stat_activity where query like 'listen %'");
    expect(listening).toHaveLength(2);
    for (const { pid } of listening) process.kill(Number(pid), 'SIGSTOP');
    try {
      await here.replace('alice', 'hello', draft({ code: 'after' }));
      expect(await seenThere()).toBe('before');
      // A heartbeat every 5 s, which has 3 s to be answered.
      await expect.poll(seenThere, { timeout: 10_000, interval: 20 }).toBe('after');
    } finally {
      await server().thaw();
    }
  });

  test('need one key: a second one with another is refused', async () => {
    const url = await server().createDatabase();
    await using _first = await openStore({ url, secretsKey: randomBytes(32) });
    await expect(openStore({ url, secretsKey: randomBytes(32) })).rejects.toThrow(
      /SECRETS_KEY is not the key/,
    );
  });
});
