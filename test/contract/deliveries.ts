import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { NewDelivery } from '../../src/core/queue/queue.ts';
import type { Store } from '../../src/core/store.ts';
import { request } from './queue.ts';
import { draft, RECORD } from './samples.ts';

const WITHIN_MS = 60_000;
const NOBODY = { attempt: 1, lease: 'gateway:1' };

/** What src/core/queue/deliveries.ts promises of a store, whatever database is below. */
export function deliveriesContract(name: string, open: () => Promise<Store>): void {
  describe(`${name} keeps the contract of deliveries`, () => {
    let store: Store;
    let id: string;
    beforeEach(async () => {
      store = await open();
    });
    afterEach(() => store[Symbol.asyncDispose]());

    /** An invocation that ended, with those who are to be told. */
    const end = async (...deliveries: NewDelivery[]) => {
      const event =
        (await store.events.find('hello')) ?? (await store.events.create('alice', draft({ name: 'hello' })));
      await store.queue.enqueue([request(event)]);
      const [held] = await store.queue.claim(NOBODY.lease, 1, WITHIN_MS);
      id = held!.id;
      const result = { statusCode: 200, headers: {}, cookies: [], body: 'hi', isBase64Encoded: false };
      const ending = { status: 'succeeded', record: RECORD, failed: false, result, deliveries } as const;
      expect(await store.queue.end(held!, { ...ending, deliveries })).toBe(true);
    };
    const callback = (n = 1) => ({ id: `d${n}`, kind: 'callback', url: `https://example.com/${n}` }) as const;

    test('one comes with what it tells of, and is nobody else’s meanwhile', async () => {
      expect(await store.deliveries.nextDueMs()).toBeUndefined();
      await end(callback(1), { ...callback(2), kind: 'success' });
      expect(await store.deliveries.nextDueMs()).toBe(0);
      const claims = await Promise.all([1, 2].map(() => store.deliveries.claim(1, WITHIN_MS)));
      const claimed = claims.flat();
      while (claimed.length < 2) claimed.push(...(await store.deliveries.claim(1, WITHIN_MS)));
      expect(claimed.sort((a, b) => (a.id < b.id ? -1 : 1))).toMatchObject([
        { ...callback(1), attempt: 1, invocation: { id, status: 'succeeded' }, result: { body: 'hi' } },
        { ...callback(2), kind: 'success', attempt: 1, invocation: { id } },
      ]);
      expect(await store.deliveries.claim(5, WITHIN_MS)).toEqual([]);
      expect(await store.deliveries.nextDueMs()).toBeGreaterThan(WITHIN_MS / 2);
    });

    test('one whose gateway does not come back is another’s, and the late end of the first counts for nothing', async () => {
      await end(callback());
      const [late] = await store.deliveries.claim(1, 0);
      await expect.poll(async () => store.deliveries.nextDueMs()).toBe(0);
      const [now] = await store.deliveries.claim(1, WITHIN_MS);
      expect(now).toMatchObject({ id: 'd1', attempt: 2 });
      await store.deliveries.end(late!, 'failed', 'late');
      await store.deliveries.retry(late!, 0, 'late');
      expect(await store.deliveries.nextDueMs()).toBeGreaterThan(WITHIN_MS / 2);
      await store.deliveries.end(now!, 'delivered', null);
      expect(await store.deliveries.nextDueMs()).toBeUndefined();
      // It has ended: nothing brings it back.
      await store.deliveries.retry(now!, 0, 'again');
      expect(await store.deliveries.nextDueMs()).toBeUndefined();
    });

    test('one that is tried again waits for its time and counts its tries', async () => {
      await end(callback());
      const [first] = await store.deliveries.claim(1, WITHIN_MS);
      await store.deliveries.retry(first!, 30_000, 'It answered 500');
      const dueMs = (await store.deliveries.nextDueMs())!;
      expect(dueMs).toBeGreaterThan(15_000);
      expect(dueMs).toBeLessThanOrEqual(30_000);
      expect(await store.deliveries.claim(1, WITHIN_MS)).toEqual([]);
      await store.deliveries.retry(first!, 0, 'x'.repeat(10_000));
      await expect
        .poll(() => store.deliveries.claim(1, WITHIN_MS))
        .toMatchObject([{ id: 'd1', attempt: 2, ageMs: expect.any(Number) }]);
    });
  });
}
