import { expect, test } from 'vitest';
import type { Store } from '../../src/core/store.ts';
import { draft } from './samples.ts';

/** What every Store promises of changes and of what was before them. */
export function versionsContract(open: () => Store): void {
  test('a replacement that depends on what there is loses nothing that others change at once', async () => {
    await open().events.create('alice', draft({ env: {} }));
    const names = ['A', 'B', 'C', 'D', 'E'];
    const add = (name: string) =>
      open().events.replace('alice', 'hello', ({ current }) =>
        draft({ env: { ...current.env, [name]: '1' } }),
      );
    await Promise.all(names.map(add));
    const event = await open().events.find('hello');
    expect(Object.keys(event?.current.env ?? {}).sort()).toEqual(names);
    expect(event?.current.version).toBe(6);
  });

  test('a change that is called off in the middle leaves everything as it was', async () => {
    const before = await open().events.create('alice', draft());
    await open().events.replace('alice', 'hello', draft({ code: 'two' }));
    await open().events.rollback('alice', 'hello', 1);
    const now = await open().events.find('hello');
    const stop = () => {
      throw new Error('called off');
    };
    await expect(open().events.replace('alice', 'hello', stop)).rejects.toThrow('called off');
    await expect(open().events.rollback('alice', 'hello', 2, stop)).rejects.toThrow('called off');
    await expect(open().events.remove('alice', 'hello', stop)).rejects.toThrow('called off');
    expect(await open().events.find('hello')).toEqual(now);
    expect(now?.current).toEqual(before.current);
  });

  test('each change is later than the one before, however fast they come', async () => {
    const times = [(await open().events.create('alice', draft())).updatedAt.getTime()];
    for (let change = 0; change < 5; change++) {
      times.push((await open().events.replace('alice', 'hello', draft()))!.updatedAt.getTime());
    }
    expect(new Set(times).size).toBe(times.length);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  test('an old version is found as it was deployed, and one that never was is not', async () => {
    const first = await open().events.create('alice', draft());
    const second = await open().events.replace('alice', 'hello', draft({ code: 'two', secrets: {} }));
    expect(await open().events.findVersion(first, 1)).toEqual(first.current);
    expect(await open().events.findVersion(first, 2)).toEqual(second?.current);
    expect(await open().events.findVersion(first, 3)).toBeUndefined();
  });

  test('versions come in pages, newest first, to the owner only', async () => {
    await open().events.create('alice', draft({ code: '1' }));
    for (const code of ['2', '3', '4', '5']) await open().events.replace('alice', 'hello', draft({ code }));
    const first = await open().events.listVersions('alice', 'hello', { limit: 3 });
    expect(first?.items.map((item) => item.version)).toEqual([5, 4, 3]);
    expect(first?.items[0]).toMatchObject({ runtime: 'python', secrets: draft().secrets });
    expect(first?.items[0]).not.toHaveProperty('code');
    const cursor = first?.nextCursor ?? '';
    const rest = await open().events.listVersions('alice', 'hello', { limit: 3, cursor });
    expect(rest?.items.map((item) => item.version)).toEqual([2, 1]);
    expect(rest?.nextCursor).toBeNull();
    expect(await open().events.listVersions('bob', 'hello', { limit: 3 })).toBeUndefined();
    expect(await open().events.listVersions('alice', 'nobody', { limit: 3 })).toBeUndefined();
  });

  test.each(["1' or 1=1", '-1', '1.5', 'x', '99999999999999999999'])(
    'versions after the cursor %j are refused by name',
    async (cursor) => {
      await open().events.create('alice', draft());
      const page = open().events.listVersions('alice', 'hello', { limit: 1, cursor });
      await expect(page).rejects.toMatchObject({
        code: 'validation_failed',
        faults: [{ path: 'cursor' }],
      });
    },
  );

  test('a rollback makes an old version current, and the next deploy is numbered after the newest', async () => {
    const first = await open().events.create('alice', draft());
    await open().events.replace('alice', 'hello', draft({ code: 'two', description: 'kept' }));
    const back = await open().events.rollback('alice', 'hello', 1);
    expect(back).toMatchObject({ id: first.id, description: 'kept', current: first.current });
    expect(await open().events.find('hello')).toEqual(back);
    const next = await open().events.replace('alice', 'hello', draft({ code: 'three' }));
    expect(next?.current.version).toBe(3);
    const versions = await open().events.listVersions('alice', 'hello', { limit: 10 });
    expect(versions?.items.map((item) => item.version)).toEqual([3, 2, 1]);
  });

  test('a demand on isolation is of the version, and a rollback brings it back', async () => {
    await open().events.create('alice', draft({ minIsolation: 'gvisor' }));
    const lowered = await open().events.replace('alice', 'hello', draft());
    expect(lowered?.current).toMatchObject({ version: 2 });
    expect(lowered?.current).not.toHaveProperty('minIsolation');
    await open().events.rollback('alice', 'hello', 1);
    expect((await open().events.find('hello'))?.current).toMatchObject({
      version: 1,
      minIsolation: 'gvisor',
    });
  });

  test('a rollback to what there is not, or of another’s event, changes nothing', async () => {
    const event = await open().events.create('alice', draft());
    const absent = open().events.rollback('alice', 'hello', 2);
    await expect(absent).rejects.toMatchObject({ code: 'not_found' });
    expect(await open().events.rollback('bob', 'hello', 1)).toBeUndefined();
    expect(await open().events.find('hello')).toEqual(event);
  });

  test('a rollback and a deploy at once both take place', async () => {
    await open().events.create('alice', draft());
    await open().events.replace('alice', 'hello', draft({ code: 'two' }));
    await Promise.all([
      open().events.rollback('alice', 'hello', 1),
      open().events.replace('alice', 'hello', draft({ code: 'three' })),
      open().events.rollback('alice', 'hello', 2),
    ]);
    const versions = await open().events.listVersions('alice', 'hello', { limit: 10 });
    expect(versions?.items.map((item) => item.version)).toEqual([3, 2, 1]);
  });

  test('a removed event takes its versions with it', async () => {
    const event = await open().events.create('alice', draft());
    await open().events.remove('alice', 'hello');
    expect(await open().events.findVersion(event, 1)).toBeUndefined();
    expect(await open().events.listVersions('alice', 'hello', { limit: 1 })).toBeUndefined();
  });
}
