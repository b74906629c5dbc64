import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { InvocationStore } from '../../src/core/invocation-store.ts';
import type { Store } from '../../src/core/store.ts';
import { WriteBehindRecorder } from '../../src/store/recorder.ts';
import { openStore } from '../../src/store/store.ts';
import { unavailable } from '../../src/store/unavailable.ts';
import { invocation } from '../contract/store.ts';

let store: Store;
let saves: number[];
let away: boolean;
let flaky: InvocationStore;

beforeEach(async () => {
  store = await openStore({ path: ':memory:', secretsKey: randomBytes(32) });
  saves = [];
  away = false;
  flaky = {
    ...store.invocations,
    save(invocations) {
      saves.push(invocations.length);
      return away ? Promise.reject(unavailable(new Error('away'))) : store.invocations.save(invocations);
    },
  };
});
afterEach(() => store[Symbol.asyncDispose]());

describe('a write-behind recorder', () => {
  test('writes nothing while it is told, and soon after in one go', async () => {
    const recorder = new WriteBehindRecorder(flaky, { delayMs: 5 });
    const records = Array.from({ length: 10 }, () => invocation());
    for (const record of records) recorder.record(record);
    expect(saves).toEqual([]);
    await vi.waitFor(() => expect(recorder.waiting).toBe(0));
    expect(saves).toEqual([10]);
    expect(await store.invocations.find(records[0]!.id)).toEqual(records[0]);
    await recorder.close();
  });

  test('finds what is not yet written, in its newest state', async () => {
    const recorder = new WriteBehindRecorder(flaky, { delayMs: 60_000 });
    const running = invocation({ status: 'running' });
    const done = { ...running, status: 'succeeded' as const };
    recorder.record(running);
    recorder.record(done);
    expect(await recorder.find(running.id)).toEqual(done);
    await recorder.close();
    expect(saves).toEqual([1]);
    expect(await recorder.find(running.id)).toEqual(done);
  });

  test('lists what was recorded before', async () => {
    const recorder = new WriteBehindRecorder(flaky, { delayMs: 60_000, batchSize: 3 });
    for (let count = 0; count < 10; count++) recorder.record(invocation());
    const page = await recorder.listByEvent('alice', 'hello', { limit: 50 });
    expect(page.items).toHaveLength(10);
    expect(saves).toEqual([3, 3, 3, 1]);
    await recorder.close();
  });

  test('a record that changes while it is written is written again', async () => {
    const gate = Promise.withResolvers<void>();
    const slow: InvocationStore = {
      ...store.invocations,
      async save(invocations) {
        await gate.promise;
        await store.invocations.save(invocations);
      },
    };
    const recorder = new WriteBehindRecorder(slow, { delayMs: 1 });
    const running = invocation({ status: 'running' });
    recorder.record(running);
    const flushed = recorder.flush();
    recorder.record({ ...running, status: 'failed' });
    gate.resolve();
    await flushed;
    await recorder.close();
    expect((await store.invocations.find(running.id))?.status).toBe('failed');
  });

  test('splits batches of big logs', async () => {
    const recorder = new WriteBehindRecorder(flaky, { delayMs: 60_000 });
    for (let count = 0; count < 10; count++) recorder.record(invocation({ logs: 'x'.repeat(262_144) }));
    await recorder.flush();
    expect(saves).toEqual([4, 4, 2]);
    await recorder.close();
  });

  test('while the database is away it keeps the newest, counts the rest and writes when it is back', async () => {
    const errors: unknown[] = [];
    away = true;
    const recorder = new WriteBehindRecorder(flaky, {
      delayMs: 1,
      maxBackoffMs: 10,
      capacity: 5,
      onError: (error) => errors.push(error),
    });
    const records = Array.from({ length: 12 }, () => invocation());
    for (const record of records) recorder.record(record);
    await vi.waitFor(() => expect(errors.length).toBeGreaterThan(2));
    expect(recorder.dropped).toBe(7);
    expect(recorder.waiting).toBe(5);
    await expect(recorder.listByEvent('alice', 'hello', { limit: 1 })).rejects.toMatchObject({
      code: 'store_unavailable',
    });
    away = false;
    await vi.waitFor(() => expect(recorder.waiting).toBe(0));
    const page = await recorder.listByEvent('alice', 'hello', { limit: 50 });
    expect(page.items.map((item) => item.id)).toEqual(
      records
        .slice(7)
        .map((item) => item.id)
        .reverse(),
    );
    expect(await recorder.close()).toBe(7);
  });

  test('a record that the database refuses is given up by itself, and the others are written', async () => {
    const refused: string[] = [];
    const errors: unknown[] = [];
    const recorder = new WriteBehindRecorder(flaky, {
      delayMs: 60_000,
      onError: (error) => errors.push(error),
      onRefused: (_error, id) => refused.push(id),
    });
    const poison = invocation({ eventVersion: undefined as unknown as number });
    const records = [invocation(), poison, invocation(), invocation()];
    for (const record of records) recorder.record(record);
    await recorder.flush();
    expect(saves).toEqual([4, 1, 1, 1, 1]);
    expect(refused).toEqual([poison.id]);
    expect(recorder.dropped).toBe(1);
    expect(errors).toEqual([]);
    expect((await store.invocations.listByEvent('alice', 'hello', { limit: 9 })).items).toHaveLength(3);
    expect(await recorder.close()).toBe(1);
  });

  test('a database that goes away while records are tried one by one keeps them waiting', async () => {
    const poison = invocation({ eventVersion: undefined as unknown as number });
    const recorder = new WriteBehindRecorder(
      {
        ...flaky,
        save: (batch) => {
          away = batch.length === 1 && saves.length < 5;
          return flaky.save(batch);
        },
      },
      { delayMs: 1 },
    );
    for (const record of [invocation(), poison, invocation()]) recorder.record(record);
    await vi.waitFor(() => expect(recorder.waiting).toBe(0));
    expect(recorder.dropped).toBe(1);
    expect((await store.invocations.listByEvent('alice', 'hello', { limit: 9 })).items).toHaveLength(2);
    await recorder.close();
  });

  test('pauses longer after every failure', async () => {
    away = true;
    const recorder = new WriteBehindRecorder(flaky, { delayMs: 20, maxBackoffMs: 10_000 });
    recorder.record(invocation());
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect(saves.length).toBeLessThanOrEqual(4);
    await recorder.close(0);
  });

  test('close writes what waits, then takes no more', async () => {
    const recorder = new WriteBehindRecorder(flaky, { delayMs: 60_000, batchSize: 2 });
    const records = Array.from({ length: 5 }, () => invocation());
    for (const record of records) recorder.record(record);
    expect(await recorder.close()).toBe(0);
    expect((await store.invocations.listByEvent('alice', 'hello', { limit: 9 })).items).toHaveLength(5);
    recorder.record(invocation());
    expect(recorder.dropped).toBe(1);
  });

  test('close gives up at its deadline and says how much was lost', async () => {
    away = true;
    const recorder = new WriteBehindRecorder(flaky, { delayMs: 1 });
    for (let count = 0; count < 3; count++) recorder.record(invocation());
    const begun = performance.now();
    expect(await recorder.close(60)).toBe(3);
    expect(performance.now() - begun).toBeLessThan(1_000);
  });

  test('close gives up on a database that never answers', async () => {
    const hung: InvocationStore = { ...store.invocations, save: () => new Promise(() => {}) };
    const recorder = new WriteBehindRecorder(hung, { delayMs: 1 });
    recorder.record(invocation());
    expect(await recorder.close(30)).toBe(1);
  });
});
