import { expect, test } from 'vitest';
import type { Store } from '../../src/core/store.ts';
import { draft } from './samples.ts';

/** What every Store promises of names for versions. */
export function aliasesContract(open: () => Store): void {
  const twoVersions = async () => {
    await open().events.create('alice', draft());
    return (await open().events.replace('alice', 'hello', draft({ code: 'two' })))!;
  };
  const at = (version: number) => ({ version, split: null });

  test('what was made is found, moved and removed', async () => {
    const event = await twoVersions();
    expect(await open().aliases.find(event, 'live')).toBeUndefined();
    const made = await open().aliases.put('alice', 'hello', 'live', at(1));
    expect(made).toMatchObject({ created: true, alias: { name: 'live', version: 1, split: null } });
    expect(await open().aliases.find(event, 'live')).toEqual(made?.alias);
    const split = { version: 2, weight: 0.1 };
    const moved = await open().aliases.put('alice', 'hello', 'live', { version: 1, split });
    expect(moved).toMatchObject({ created: false, alias: { split, createdAt: made?.alias.createdAt } });
    expect(moved!.alias.updatedAt.getTime()).toBeGreaterThan(made!.alias.updatedAt.getTime());
    expect(await open().aliases.find(event, 'live')).toEqual(moved?.alias);
    expect(await open().aliases.remove('alice', 'hello', 'live')).toBe(true);
    expect(await open().aliases.remove('alice', 'hello', 'live')).toBe(false);
    expect(await open().aliases.find(event, 'live')).toBeUndefined();
  });

  test('a list is sorted by name and has the event’s own only', async () => {
    const event = await twoVersions();
    const other = await open().events.create('alice', draft({ name: 'other' }));
    for (const name of ['live', 'canary', 'b_1', 'b-1']) {
      await open().aliases.put('alice', 'hello', name, at(1));
    }
    const names = (await open().aliases.list(event)).map((alias) => alias.name);
    expect(names).toEqual(['b-1', 'b_1', 'canary', 'live']);
    expect(await open().aliases.list(other)).toEqual([]);
  });

  test('versions that there are not are refused, each by its path', async () => {
    const event = await twoVersions();
    const target = { version: 7, split: { version: 9, weight: 0.5 } };
    await expect(open().aliases.put('alice', 'hello', 'live', target)).rejects.toMatchObject({
      code: 'validation_failed',
      faults: [{ path: 'version' }, { path: 'weights.9' }],
    });
    expect(await open().aliases.list(event)).toEqual([]);
  });

  test('nobody but the owner makes, moves or removes one', async () => {
    const event = await twoVersions();
    await open().aliases.put('alice', 'hello', 'live', at(1));
    expect(await open().aliases.put('bob', 'hello', 'live', at(2))).toBeUndefined();
    expect(await open().aliases.put('alice', 'nobody', 'live', at(1))).toBeUndefined();
    expect(await open().aliases.remove('bob', 'hello', 'live')).toBe(false);
    expect((await open().aliases.find(event, 'live'))?.version).toBe(1);
  });

  test('a change that is called off leaves everything as it was', async () => {
    const event = await twoVersions();
    const made = await open().aliases.put('alice', 'hello', 'live', at(1));
    const stop = () => {
      throw new Error('called off');
    };
    await expect(open().aliases.put('alice', 'hello', 'live', at(2), stop)).rejects.toThrow('called off');
    await expect(open().aliases.put('alice', 'hello', 'new', at(2), stop)).rejects.toThrow('called off');
    await expect(open().aliases.remove('alice', 'hello', 'live', stop)).rejects.toThrow('called off');
    expect(await open().aliases.list(event)).toEqual([made?.alias]);
  });

  test('moves at once leave the one that came last, each with a time of its own', async () => {
    const event = await twoVersions();
    const moves = [1, 2, 1, 2, 1].map((version) => open().aliases.put('alice', 'hello', 'live', at(version)));
    const moved = (await Promise.all(moves)).map((each) => each!.alias);
    const times = moved.map((alias) => alias.updatedAt.getTime());
    expect(new Set(times).size).toBe(times.length);
    const last = moved.find((alias) => alias.updatedAt.getTime() === Math.max(...times));
    expect(await open().aliases.find(event, 'live')).toEqual(last);
  });

  test('a removed event takes its aliases with it, and a change of it does not', async () => {
    const event = await twoVersions();
    await open().aliases.put('alice', 'hello', 'live', at(1));
    await open().events.replace('alice', 'hello', draft({ code: 'three' }));
    await open().events.rollback('alice', 'hello', 2);
    expect(await open().aliases.list(event)).toHaveLength(1);
    await open().events.remove('alice', 'hello');
    expect(await open().aliases.list(event)).toEqual([]);
    const again = await open().events.create('alice', draft());
    expect(await open().aliases.find(again, 'live')).toBeUndefined();
  });
}
