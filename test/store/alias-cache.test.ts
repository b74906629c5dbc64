import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Event } from '../../src/core/event.ts';
import type { Store } from '../../src/core/store.ts';
import { type CachedAliases, cacheAliases } from '../../src/store/alias-cache.ts';
import { openStore } from '../../src/store/store.ts';
import { draft } from '../contract/store.ts';

let store: Store;
let event: Event;
let reads: string[];
let aliases: CachedAliases;
const at = (version: number) => ({ version, split: null });

beforeEach(async () => {
  store = await openStore({ path: ':memory:', secretsKey: randomBytes(32) });
  await store.events.create('alice', draft());
  event = (await store.events.replace('alice', 'hello', draft({ code: 'two' })))!;
  reads = [];
  aliases = cacheAliases(
    {
      ...store.aliases,
      find(of, name) {
        reads.push(name);
        return store.aliases.find(of, name);
      },
    },
    { missTtlMs: 60_000 },
  );
});
afterEach(() => store[Symbol.asyncDispose]());

test('an alias is read once, and so is that there is none', async () => {
  await aliases.put('alice', 'hello', 'live', at(1));
  for (let call = 0; call < 5; call++) {
    expect((await aliases.find(event, 'live'))?.version).toBe(1);
    expect(await aliases.find(event, 'canary')).toBeUndefined();
  }
  expect(reads).toEqual(['live', 'canary']);
});

test('what is made, moved or removed through it is seen at once', async () => {
  expect(await aliases.find(event, 'live')).toBeUndefined();
  await aliases.put('alice', 'hello', 'live', at(1));
  expect((await aliases.find(event, 'live'))?.version).toBe(1);
  await aliases.put('alice', 'hello', 'live', at(2));
  expect((await aliases.find(event, 'live'))?.version).toBe(2);
  await aliases.remove('alice', 'hello', 'live');
  expect(await aliases.find(event, 'live')).toBeUndefined();
});

test('what was changed elsewhere is seen when its event is forgotten', async () => {
  await aliases.put('alice', 'hello', 'live', at(1));
  await aliases.find(event, 'live');
  await store.aliases.put('alice', 'hello', 'live', at(2));
  aliases.forget('other');
  expect((await aliases.find(event, 'live'))?.version).toBe(1);
  aliases.forget('hello');
  expect((await aliases.find(event, 'live'))?.version).toBe(2);
  await store.aliases.remove('alice', 'hello', 'live');
  aliases.forget(undefined);
  expect(await aliases.find(event, 'live')).toBeUndefined();
});

test('a later event of the same name has none of them', async () => {
  await aliases.put('alice', 'hello', 'live', at(1));
  await aliases.find(event, 'live');
  await store.events.remove('alice', 'hello');
  const again = await store.events.create('bob', draft());
  expect(await aliases.find(again, 'live')).toBeUndefined();
});
