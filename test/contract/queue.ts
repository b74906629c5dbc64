import { v7 as uuidv7 } from 'uuid';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Event } from '../../src/core/event.ts';
import type { Claimed, NewInvocation } from '../../src/core/queue/queue.ts';
import type { Store } from '../../src/core/store.ts';
import { draft, RECORD } from './samples.ts';

const LEASE = 'gateway:1';
const OTHER = 'other:1';
const LEASE_MS = 60_000;

export function request(event: Event, over: Partial<NewInvocation> = {}): NewInvocation {
  return {
    id: uuidv7(),
    event,
    caller: { userId: 'alice', tier: null },
    trigger: 'async',
    payload: { n: 1 },
    ...over,
  };
}

const idsOf = (claimed: readonly { id: string }[]) => claimed.map(({ id }) => id);

/** What the queue promises, whatever database is below. */
export function queueContract(name: string, open: () => Promise<Store>): void {
  describe(`${name} keeps the queue's contract`, () => {
    let store: Store;
    beforeEach(async () => {
      store = await open();
    });
    afterEach(() => store[Symbol.asyncDispose]());

    const deploy = (event = 'hello', owner = 'alice') => store.events.create(owner, draft({ name: event }));
    const enqueue = async (event: Event, count = 1, over: Partial<NewInvocation> = {}) => {
      const requests = Array.from({ length: count }, () => request(event, over));
      await store.queue.enqueue(requests);
      return idsOf(requests);
    };
    const claim = (want = 1, lease = LEASE, leaseMs = LEASE_MS) => store.queue.claim(lease, want, leaseMs);
    const claimOne = async (lease = LEASE): Promise<Claimed> => {
      const [claimed] = await claim(1, lease);
      if (claimed === undefined) throw new Error('there was nothing to claim');
      return claimed;
    };

    test('what was enqueued is found, and claimed with its payload', async () => {
      const event = await deploy();
      const asked = request(event, {
        payload: { body: 'nul \0, ünï 😀' },
        caller: { userId: 'bob', tier: 'gold' },
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        callbackUrl: 'https://example.com/told',
        replayOf: uuidv7(),
        receipt: { inputSha256: 'ab'.repeat(32) },
      });
      expect(await store.queue.enqueue([asked])).toEqual([{ id: asked.id, duplicate: false }]);
      expect(await store.invocations.find(asked.id)).toMatchObject({
        status: 'queued',
        trigger: 'async',
        callerId: 'bob',
        eventVersion: 1,
        attempt: 0,
        replayOf: asked.replayOf,
      });
      expect(await claim()).toEqual([
        {
          id: asked.id,
          attempt: 1,
          lease: LEASE,
          eventId: event.id,
          eventName: 'hello',
          eventVersion: 1,
          ownerId: 'alice',
          callerId: 'bob',
          callerTier: 'gold',
          trigger: 'async',
          payload: asked.payload,
          traceparent: asked.traceparent,
          callbackUrl: asked.callbackUrl,
          replayOf: asked.replayOf,
          inputSha256: 'ab'.repeat(32),
          depth: 0,
          createdAt: expect.any(Date),
          failures: 0,
          crashes: 0,
          cancelRequested: false,
          ageMs: expect.any(Number),
        },
      ]);
      expect(await store.invocations.find(asked.id)).toMatchObject({ status: 'running', attempt: 1 });
      expect(await claim()).toEqual([]);
    });

    test('the oldest of an event comes first, and no claim takes what another has', async () => {
      const ids = await enqueue(await deploy(), 20);
      expect(idsOf(await claim(5))).toEqual(ids.slice(0, 5));
      const claims = await Promise.all([1, 2, 3].map((run) => claim(5, `gateway:${run}`)));
      const rest = claims.flatMap(idsOf);
      // Two that claim at once may leave something for the next time.
      while (rest.length < 15) rest.push((await claimOne()).id);
      expect(rest.sort()).toEqual(ids.slice(5));
    });

    test('owners take turns, however much one of them has waiting', async () => {
      const flood = await deploy('flood', 'mallory');
      const [few, fewer] = [await deploy('few', 'alice'), await deploy('fewer', 'zoe')];
      await enqueue(flood, 30);
      await enqueue(few, 2);
      await enqueue(fewer, 1);
      const first = await claim(3);
      expect(new Set(first.map(({ ownerId }) => ownerId))).toEqual(new Set(['alice', 'mallory', 'zoe']));
      const next: string[] = [];
      for (let turn = 0; turn < 4; turn++) next.push((await claimOne()).ownerId);
      expect(next.slice(0, 2)).toContain('alice');
      expect(next.filter((owner) => owner === 'mallory')).toHaveLength(3);
    });

    test('the events of one owner take turns too', async () => {
      const [flood, quiet] = [await deploy('flood'), await deploy('quiet')];
      await enqueue(flood, 10);
      await enqueue(quiet, 2);
      const names: string[] = [];
      for (let turn = 0; turn < 4; turn++) names.push((await claimOne()).eventName);
      expect(names.filter((name) => name === 'quiet')).toHaveLength(2);
    });

    test('more owners and events than one page are all served', async () => {
      const events: Event[] = [];
      for (let index = 0; index < 70; index++) events.push(await deploy(`e${index}`, `owner-${index}`));
      for (let index = 0; index < 70; index++) events.push(await deploy(`f${index}`, 'owner-1'));
      await store.queue.enqueue(events.map((event) => request(event)));
      const names = new Set<string>();
      for (let round = 0; round < 20; round++)
        for (const { eventName } of await claim(20)) names.add(eventName);
      expect(names.size).toBe(140);
    });

    describe('an event that runs so often at once', () => {
      const bounded = (concurrency: number) =>
        store.events.create('alice', draft({ name: 'bounded', async: { concurrency } }));

      test('is claimed no further, and again when one has ended, while others are', async () => {
        await enqueue(await bounded(2), 5);
        const other = await deploy('other');
        await enqueue(other, 3);
        const claimed = await claim(10);
        const held = claimed.filter(({ eventName }) => eventName === 'bounded');
        expect([held.length, claimed.length]).toEqual([2, 5]);
        expect(await claim(10)).toEqual([]);
        await store.queue.end(held[0]!, { status: 'succeeded', record: RECORD, failed: false });
        expect(await claim(10)).toHaveLength(1);
        await store.queue.retry(held[1]!, { record: RECORD, delayMs: 0, failed: true });
        expect(await claim(10)).toHaveLength(1);
      });

      test('is so over all gateways that claim at once', async () => {
        await enqueue(await bounded(3), 12);
        const held: Claimed[] = [];
        for (let round = 0; round < 4; round++) {
          const claims = await Promise.all([1, 2, 3, 4].map((run) => claim(2, `gateway-${run}:1`)));
          held.push(...claims.flat());
          expect(held.length).toBeLessThanOrEqual(3);
        }
        // One that finds another counting takes nothing, and asks again.
        expect(held).toHaveLength(3);
      });
    });

    test('what is due later is not claimed, and says when it is', async () => {
      const event = await deploy();
      expect(await store.queue.nextDueMs()).toBeUndefined();
      const [later] = await enqueue(event, 1, { delayMs: 300 });
      expect(await claim()).toEqual([]);
      expect(await store.queue.nextDueMs()).toBeGreaterThan(0);
      expect(await store.queue.nextDueMs()).toBeLessThanOrEqual(300);
      await expect.poll(async () => idsOf(await claim()), { timeout: 5_000 }).toEqual([later]);
    });

    describe('one dedup key', () => {
      const dedup = (ttlMs = 60_000) => ({ scope: 'hook', key: 'msg_1', ttlMs });

      test('runs once, and every duplicate is told of the first', async () => {
        const event = await deploy();
        const requests = Array.from({ length: 4 }, () => request(event, { dedup: dedup() }));
        const answers = [
          ...(await store.queue.enqueue(requests.slice(0, 2))),
          ...(await Promise.all(requests.slice(2).map((one) => store.queue.enqueue([one])))).flat(),
        ];
        expect(new Set(idsOf(answers)).size).toBe(1);
        expect(answers.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
        expect(await claim(10)).toHaveLength(1);
      });

      test('in one write with others runs once, whether it was there before or not', async () => {
        const event = await deploy();
        const keyed = (key: string) => request(event, { dedup: { ...dedup(), key } });
        const before = keyed('a');
        await store.queue.enqueue([before]);
        const [a1, b1, b2, a2, free] = [keyed('a'), keyed('b'), keyed('b'), keyed('a'), request(event)];
        expect(await store.queue.enqueue([a1, b1, b2, a2, free])).toEqual([
          { id: before.id, duplicate: true },
          { id: b1.id, duplicate: false },
          { id: b1.id, duplicate: true },
          { id: before.id, duplicate: true },
          { id: free.id, duplicate: false },
        ]);
        expect(idsOf(await claim(10))).toEqual([before.id, b1.id, free.id]);
      });

      test('of several askers at once one is first', async () => {
        const event = await deploy();
        const asks = Array.from({ length: 8 }, () =>
          store.queue.enqueue([request(event, { dedup: dedup() })]),
        );
        const answers = (await Promise.all(asks)).flat();
        expect(answers.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
        expect(await claim(10)).toHaveLength(1);
      });

      test('may be used again after its time, and in another scope', async () => {
        const event = await deploy();
        await enqueue(event, 1, { dedup: dedup(1) });
        await expect
          .poll(async () => (await store.queue.enqueue([request(event, { dedup: dedup(1) })]))[0]!.duplicate)
          .toBe(false);
        const other = request(event, { dedup: { ...dedup(), scope: 'other' } });
        expect(await store.queue.enqueue([other])).toEqual([{ id: other.id, duplicate: false }]);
      });
    });

    describe('a claim', () => {
      test('ends with a result, once', async () => {
        await enqueue(await deploy());
        const held = await claimOne();
        const result = {
          statusCode: 201,
          headers: { a: 'b' },
          cookies: ['c=d'],
          body: 'ü',
          isBase64Encoded: false,
        };
        const ending = { status: 'succeeded', record: RECORD, failed: false, result } as const;
        expect(await store.queue.end(held, ending)).toBe(true);
        expect(await store.queue.result(held.id)).toEqual(result);
        expect(await store.invocations.find(held.id)).toMatchObject({
          ...RECORD,
          status: 'succeeded',
          endedAt: expect.any(Date),
        });
        expect(await store.queue.end(held, { ...ending, status: 'dead' })).toBe(false);
        expect(await store.invocations.find(held.id)).toMatchObject({ status: 'succeeded' });
        expect(await store.queue.depth()).toEqual({ queued: 0, running: 0, oldestAgeMs: 0 });
      });

      test('that is tried again waits for its time and remembers its failures', async () => {
        await enqueue(await deploy());
        const error = { code: 'function_error', message: 'boom' };
        const record = { ...RECORD, error };
        expect(await store.queue.retry(await claimOne(), { record, delayMs: 30, failed: true })).toBe(true);
        await expect.poll(() => store.queue.nextDueMs()).toBeUndefined();
        const again = await claimOne();
        expect(again).toMatchObject({ attempt: 2, failures: 1, crashes: 0 });
        await store.queue.retry(again, { record: RECORD, delayMs: 0, failed: false });
        expect(await claimOne()).toMatchObject({ attempt: 3, failures: 1 });
      });

      test('has the receipt of the attempt that ended it, and none while it is to be tried again', async () => {
        const [id] = await enqueue(await deploy());
        const receiptOf = async () => (await store.invocations.find(id!))?.receipt;
        const record = { ...RECORD, receipt: 'a.b.c' };
        await store.queue.retry(await claimOne(), { record, delayMs: 0, failed: true });
        expect(await receiptOf()).toBeUndefined();
        await store.queue.end(await claimOne(), { status: 'dead', record, failed: true });
        expect(await receiptOf()).toBe('a.b.c');
        await store.queue.redrive({ ownerId: 'alice', ids: [id!], limit: 1 });
        expect(await receiptOf()).toBeUndefined();
        await store.queue.end(await claimOne(), { status: 'succeeded', record: RECORD, failed: false });
        expect(await receiptOf()).toBeUndefined();
      });

      test('that was lost to another gateway writes nothing', async () => {
        await enqueue(await deploy());
        const [late] = await claim(1, LEASE, 0);
        await expect.poll(() => store.queue.reclaim(OTHER)).toBe(1);
        const now = await claimOne(OTHER);
        expect(now).toMatchObject({ id: late!.id, attempt: 2, crashes: 1, failures: 0 });
        const ending = { status: 'succeeded', record: RECORD, failed: false } as const;
        expect(await store.queue.end(late!, ending)).toBe(false);
        expect(await store.queue.retry(late!, { record: RECORD, delayMs: 0, failed: true })).toBe(false);
        await store.queue.release([late!]);
        expect(await store.invocations.find(now.id)).toMatchObject({ status: 'running', attempt: 2 });
        expect(await store.queue.end(now, ending)).toBe(true);
      });

      test('of the same gateway is not lost to itself, and renewed all at once', async () => {
        const ids = await enqueue(await deploy(), 3);
        await claim(3, LEASE, 0);
        expect(await store.queue.reclaim(LEASE)).toBe(0);
        const renewed = await store.queue.renew(LEASE, LEASE_MS);
        expect(idsOf(renewed).sort()).toEqual(ids);
        expect(await store.queue.renew(OTHER, LEASE_MS)).toEqual([]);
      });

      test('of an earlier run of the same gateway is taken over, whatever its lease says', async () => {
        await enqueue(await deploy());
        await claimOne('gateway:0');
        expect(await store.queue.reclaim(LEASE)).toBe(1);
        expect(await claimOne()).toMatchObject({ attempt: 2, crashes: 1 });
      });

      test('that is released waits as if nothing had been', async () => {
        await enqueue(await deploy());
        const held = await claimOne();
        await store.queue.release([held]);
        expect(await claimOne()).toMatchObject({ id: held.id, attempt: 2, crashes: 0, failures: 0 });
      });

      test('that ends brings forth what follows from it, or does not end', async () => {
        const event = await deploy();
        await enqueue(event);
        const held = await claimOne();
        const next = [request(event, { trigger: 'destination', depth: 1 })];
        await store.queue.end(held, { status: 'succeeded', record: RECORD, failed: false, next });
        expect(
          await store.queue.end(held, { status: 'succeeded', record: RECORD, failed: false, next }),
        ).toBe(false);
        expect(await claim(5)).toMatchObject([{ id: next[0]!.id, trigger: 'destination', depth: 1 }]);
      });
    });

    describe('cancelling', () => {
      test('what waits is over at once', async () => {
        const [id] = await enqueue(await deploy());
        expect(await store.queue.cancel(id!)).toBe('queued');
        expect(await store.invocations.find(id!)).toMatchObject({
          status: 'cancelled',
          endedAt: expect.any(Date),
        });
        expect(await claim()).toEqual([]);
        expect(await store.queue.cancel(id!)).toBe('cancelled');
      });

      test('what runs is told to its gateway, and to the next one if that dies', async () => {
        const [id] = await enqueue(await deploy());
        await claimOne('gateway:0');
        expect(await store.queue.cancel(id!)).toBe('running');
        expect(await store.queue.renew('gateway:0', LEASE_MS)).toEqual([
          { id, attempt: 1, cancelRequested: true },
        ]);
        await store.queue.reclaim(LEASE);
        expect(await claimOne()).toMatchObject({ id, cancelRequested: true });
      });

      test('what there is not is not found', async () => {
        expect(await store.queue.cancel(uuidv7())).toBeUndefined();
      });
    });

    describe('the dead', () => {
      const bury = async (count: number, event: Event) => {
        await enqueue(event, count);
        const held = await claim(count);
        for (const one of held) await store.queue.end(one, { status: 'dead', record: RECORD, failed: true });
        return idsOf(held);
      };

      test('are put back with all their attempts before them', async () => {
        const event = await deploy();
        const [id] = await bury(1, event);
        expect(await store.queue.redrive({ ownerId: 'alice', ids: [id!], limit: 10 })).toBe(1);
        expect(await store.queue.redrive({ ownerId: 'alice', ids: [id!], limit: 10 })).toBe(0);
        expect(await store.invocations.find(id!)).toMatchObject({ status: 'queued', endedAt: null });
        expect(await claimOne()).toMatchObject({
          id,
          failures: 0,
          crashes: 0,
          attempt: 2,
          payload: { n: 1 },
        });
      });

      test('are put back for their owner only, by event, by time and by number', async () => {
        const [one, two] = [await deploy('one'), await deploy('two')];
        await bury(3, one);
        const others = await bury(2, two);
        expect(
          await store.queue.redrive({ ownerId: 'bob', before: new Date(Date.now() + 9e9), limit: 10 }),
        ).toBe(0);
        const all = { ownerId: 'alice', before: new Date(Date.now() + 9e9), limit: 2 };
        expect(await store.queue.redrive({ ...all, before: new Date(0) })).toBe(0);
        expect(await store.queue.redrive({ ...all, eventName: 'one' })).toBe(2);
        expect(await store.queue.redrive({ ...all, eventName: 'two', ids: others })).toBe(2);
        expect(await store.queue.depth()).toMatchObject({ queued: 4, running: 0 });
      });
    });
  });
}
