import { expect, test } from 'vitest';
import type { Store } from '../../src/core/store.ts';
import type { VariableQuota } from '../../src/core/variables.ts';

const QUOTA: VariableQuota = { maxCount: 5, maxBytes: 1_000 };

/** What src/core/variables.ts promises of a store. */
export function variablesContract(current: () => Store): void {
  const set = (owner: string, name: string, json: string, quota = QUOTA) =>
    current().variables.change(owner, name, () => json, quota);
  const jsonOf = async (owner: string, name: string) => (await current().variables.get(owner, name))?.json;

  test('what was written is read again, digit by digit, and removed', async () => {
    const json = '{"n": 12345678901234567890.10, "t": "ünï \\u0000"}';
    const { before, after } = await set('alice', 'a.b-c_1', json);
    expect(before).toBeUndefined();
    expect(after).toMatchObject({ name: 'a.b-c_1', json });
    expect(await current().variables.get('alice', 'a.b-c_1')).toMatchObject(after!);
    const removed = await current().variables.change('alice', 'a.b-c_1', () => undefined, QUOTA);
    expect(removed).toMatchObject({ before: { json }, after: undefined });
    expect(await jsonOf('alice', 'a.b-c_1')).toBeUndefined();
  });

  test('owners have their own, though names are the same', async () => {
    await set('alice', 'x', '1');
    await set('bob', 'x', '2');
    expect([await jsonOf('alice', 'x'), await jsonOf('bob', 'x')]).toEqual(['1', '2']);
    await current().variables.change('bob', 'x', () => undefined, QUOTA);
    expect(await jsonOf('alice', 'x')).toBe('1');
    expect((await current().variables.list('bob', { limit: 10 })).items).toEqual([]);
  });

  test('no revision comes twice, not after a removal either', async () => {
    const seen = new Set<string>();
    for (let round = 0; round < 3; round++) {
      seen.add((await set('alice', 'x', '1')).after!.revision);
      seen.add((await set('alice', 'x', '1')).after!.revision);
      await current().variables.change('alice', 'x', () => undefined, QUOTA);
    }
    expect(seen.size).toBe(6);
  });

  test('changes at once come one after the other, from the first one on', async () => {
    const increment = () =>
      current().variables.change('alice', 'n', (before) => String(Number(before?.json ?? 0) + 1), QUOTA);
    await Promise.all(Array.from({ length: 20 }, increment));
    expect(await jsonOf('alice', 'n')).toBe('20');
  });

  test('what a change throws leaves everything as it was', async () => {
    await set('alice', 'x', '1');
    const boom = () => {
      throw new Error('boom');
    };
    await expect(current().variables.change('alice', 'x', boom, QUOTA)).rejects.toThrow('boom');
    expect(await jsonOf('alice', 'x')).toBe('1');
  });

  test('a quota holds for number and bytes, of each owner, also against many at once', async () => {
    const exceeded = { code: 'variable_quota_exceeded', status: 409 };
    const all = await Promise.allSettled(
      Array.from({ length: 8 }, (_, index) => set('alice', `v${index}`, '1')),
    );
    expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(5);
    expect((await current().variables.list('alice', { limit: 10 })).items).toHaveLength(5);
    await expect(set('alice', 'v9', '1')).rejects.toMatchObject(exceeded);
    await set('bob', 'v9', '1');

    await expect(set('bob', 'big', `"${'x'.repeat(1_000)}"`)).rejects.toMatchObject(exceeded);
    await set('bob', 'big', `"${'x'.repeat(900)}"`);
    await expect(set('bob', 'more', `"${'x'.repeat(100)}"`)).rejects.toMatchObject(exceeded);
    // Where the quota was lowered, less is still written than there was.
    await set('bob', 'big', `"${'x'.repeat(800)}"`, { maxCount: 1, maxBytes: 10 });
    await current().variables.change('bob', 'big', () => undefined, QUOTA);
    await set('bob', 'more', `"${'x'.repeat(900)}"`);
  });

  test('lists are sorted by name, without values, in pages', async () => {
    const names = ['B', '_', 'a', 'a.b', 'a_b'];
    for (const name of [...names].reverse()) await set('alice', name, '"tø"');
    const first = await current().variables.list('alice', { limit: 3 });
    expect(first.items.map(({ name }) => name)).toEqual(names.slice(0, 3));
    expect(Object.keys(first.items[0]!).sort()).toEqual(['bytes', 'name', 'revision', 'updatedAt']);
    expect(first.items[0]).toMatchObject({ bytes: 5 });
    const rest = await current().variables.list('alice', { limit: 3, cursor: first.nextCursor! });
    expect([rest.items.map(({ name }) => name), rest.nextCursor]).toEqual([names.slice(3), null]);
    const page = current().variables.list('alice', { limit: 1, cursor: "x' or 1" });
    await expect(page).rejects.toMatchObject({ code: 'validation_failed', faults: [{ path: 'cursor' }] });
  });
}
