import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { EventStore } from '../../src/core/event-store.ts';
import type { Store } from '../../src/core/store.ts';
import { cacheEvents } from '../../src/store/event-cache.ts';
import { openStore } from '../../src/store/store.ts';
import { draft } from '../contract/store.ts';

let store: Store;
let reads: string[];
let counted: EventStore;

beforeEach(async () => {
  store = await openStore({ path: ':memory:', secretsKey: randomBytes(32) });
  reads = [];
  counted = {
    ...store.events,
    find(name) {
      reads.push(name);
      return store.events.find(name);
    },
  };
});
afterEach(() => store[Symbol.asyncDispose]());

describe('cached events', () => {
  test('a found event is read once', async () => {
    const events = cacheEvents(counted);
    const created = await events.create('alice', draft());
    for (let call = 0; call < 5; call++) expect(await events.find('hello')).toEqual(created);
    expect(reads).toEqual(['hello']);
  });

  test('a replacement and a removal are seen at once', async () => {
    const events = cacheEvents(counted);
    await events.create('alice', draft());
    await events.find('hello');
    await events.replace('alice', 'hello', draft({ code: 'two' }));
    expect((await events.find('hello'))?.current.code).toBe('two');
    await events.remove('alice', 'hello');
    expect(await events.find('hello')).toBeUndefined();
  });

  test('an event created after a miss is seen at once', async () => {
    const events = cacheEvents(counted, { missTtlMs: 60_000 });
    expect(await events.find('hello')).toBeUndefined();
    expect(await events.find('hello')).toBeUndefined();
    expect(reads).toHaveLength(1);
    await events.create('alice', draft());
    expect(await events.find('hello')).toBeDefined();
  });

  test('a miss is believed for a short time only', async () => {
    const events = cacheEvents(counted, { missTtlMs: 5 });
    await events.find('hello');
    await store.events.create('alice', draft());
    await vi.waitFor(async () => expect(await events.find('hello')).toBeDefined());
  });

  test('callers at once share one read', async () => {
    const events = cacheEvents(counted);
    await events.create('alice', draft());
    await Promise.all(Array.from({ length: 20 }, () => events.find('hello')));
    expect(reads).toHaveLength(1);
  });

  test('a read that a deploy overtook is neither kept nor joined', async () => {
    const gate = Promise.withResolvers<void>();
    const slow: EventStore = {
      ...store.events,
      async find(name) {
        const event = await store.events.find(name);
        if (event?.current.version === 1) await gate.promise;
        return event;
      },
    };
    const events = cacheEvents(slow);
    await events.create('alice', draft());
    const overtaken = events.find('hello');
    await vi.waitFor(() => store.ping());
    await events.replace('alice', 'hello', draft({ code: 'two' }));
    expect((await events.find('hello'))?.current.version).toBe(2);
    gate.resolve();
    expect((await overtaken)?.current.version).toBe(1);
    expect((await events.find('hello'))?.current.version).toBe(2);
  });

  test('a failed read is not remembered', async () => {
    let away = true;
    const flaky: EventStore = {
      ...store.events,
      find: (name) => (away ? Promise.reject(new Error('away')) : store.events.find(name)),
    };
    const events = cacheEvents(flaky);
    await expect(events.find('hello')).rejects.toThrow('away');
    away = false;
    expect(await events.find('hello')).toBeUndefined();
  });

  test('what it keeps is bounded by size', async () => {
    const events = cacheEvents(counted, { maxBytes: 13_000 });
    for (const name of ['a', 'b', 'c']) {
      await events.create('alice', draft({ name, code: 'x'.repeat(2_000) }));
      await events.find(name);
    }
    reads.length = 0;
    await events.find('c');
    await events.find('a');
    expect(reads).toEqual(['a']);
  });

  describe('versions', () => {
    let versionReads: number[];
    let events: EventStore;
    beforeEach(() => {
      versionReads = [];
      events = cacheEvents({
        ...store.events,
        findVersion(event, version) {
          versionReads.push(version);
          return store.events.findVersion(event, version);
        },
      });
    });

    test('are read once, and stay over a deploy and a rollback', async () => {
      const event = await events.create('alice', draft());
      for (let call = 0; call < 3; call++) {
        expect(await events.findVersion(event, 1)).toEqual(event.current);
        await events.replace('alice', 'hello', draft({ code: `v${call}` }));
        await events.rollback('alice', 'hello', 1);
      }
      expect(versionReads).toEqual([1]);
    });

    test('that do not exist are believed not to, until the next deploy', async () => {
      const event = await events.create('alice', draft());
      expect(await events.findVersion(event, 2)).toBeUndefined();
      expect(await events.findVersion(event, 2)).toBeUndefined();
      expect(versionReads).toEqual([2]);
      await events.replace('alice', 'hello', draft({ code: 'two' }));
      expect((await events.findVersion(event, 2))?.code).toBe('two');
    });

    test('go with their event, and are none of a later event’s of that name', async () => {
      const first = await events.create('alice', draft());
      await events.findVersion(first, 1);
      await events.remove('alice', 'hello');
      expect(await events.findVersion(first, 1)).toBeUndefined();
      const second = await events.create('bob', draft({ code: 'other' }));
      expect((await events.findVersion(second, 1))?.code).toBe('other');
    });

    test('a rollback is seen at once', async () => {
      await events.create('alice', draft());
      await events.replace('alice', 'hello', draft({ code: 'two' }));
      expect((await events.find('hello'))?.current.version).toBe(2);
      await events.rollback('alice', 'hello', 1);
      expect((await events.find('hello'))?.current.version).toBe(1);
    });
  });
});
