import { v7 as uuidv7 } from 'uuid';
import { expect, test } from 'vitest';
import type { InvocationStatus } from '../../src/core/invocation.ts';
import { Retention, type RetentionOptions } from '../../src/core/retention.ts';
import type { Store } from '../../src/core/store.ts';
import { request } from './queue.ts';
import { draft, invocation } from './samples.ts';

const DAY_MS = 86_400_000;
const NOW = new Date('2026-06-01T00:00:00Z');
const daysAgo = (days: number) => new Date(NOW.getTime() - days * DAY_MS);

/** What src/core/retention.ts promises of a store. */
export function retentionContract(current: () => Store): void {
  /** A record of an invocation that was accepted then; `ended` days ago, or not yet. */
  const record = (accepted: number, ended: number | null, status: InvocationStatus = 'succeeded') =>
    invocation({
      id: uuidv7({ msecs: daysAgo(accepted).getTime() }),
      status,
      createdAt: daysAgo(accepted),
      endedAt: ended === null ? null : daysAgo(ended),
      logs: 'some log\n',
    });

  function open(over: Partial<RetentionOptions> = {}) {
    const pruned: [string, number][] = [];
    const retention = new Retention(current().retention, {
      days: { records: 30, bodies: 0, logs: 0 },
      maxBodyBytes: 0,
      everyMs: 1_000_000,
      pauseMs: 0,
      batchRows: 3,
      expired: [(limit) => current().retention.pruneExpired(limit)],
      now: () => NOW,
      onPruned: (what, rows) => pruned.push([what, rows]),
      onError: (error) => {
        throw error;
      },
      ...over,
    });
    return { retention, pruned };
  }

  const left = async (records: { id: string }[]) => {
    const found = await Promise.all(records.map(({ id }) => current().invocations.find(id)));
    return found.map((one) => one !== undefined);
  };

  test('records that ended long enough ago go, in batches, and all others stay', async () => {
    const old = Array.from({ length: 8 }, () => record(50, 31));
    const kept = [
      record(50, 29),
      record(50, null, 'queued'),
      record(50, null, 'running'),
      record(1, 1),
      record(50, 1, 'dead'),
    ];
    const dead = record(60, 40, 'dead');
    await current().invocations.save([...old.slice(0, 4), ...kept, ...old.slice(4), dead]);
    const { retention, pruned } = open();
    await retention.sweep();
    expect(await left(old)).toEqual(old.map(() => false));
    expect(await left([dead])).toEqual([false]);
    expect(await left(kept)).toEqual(kept.map(() => true));
    expect(pruned.every(([what, rows]) => what === 'records' && rows <= 3)).toBe(true);
    expect(pruned.reduce((sum, [, rows]) => sum + rows, 0)).toBe(9);
    // What was kept is seen again when it is old enough.
    await current().invocations.save([{ ...kept[1]!, status: 'succeeded', endedAt: daysAgo(31) }]);
    await retention.sweep();
    expect(await left(kept)).toEqual([true, false, true, true, true]);
  });

  test('logs go by an age of their own, and the record stays', async () => {
    const [old, young] = [record(20, 9), record(8, 6)];
    await current().invocations.save([old, young]);
    const { retention, pruned } = open({ days: { records: 30, bodies: 0, logs: 7 } });
    await retention.sweep();
    await retention.sweep();
    expect(await current().invocations.find(old.id)).toMatchObject({ logs: '', logsTruncated: true });
    expect(await current().invocations.find(young.id)).toMatchObject({ logs: 'some log\n' });
    expect(pruned).toEqual([['logs', 1]]);
  });

  test('large logs make a batch smaller', async () => {
    const logs = 'x'.repeat(1.5 * 2 ** 20);
    await current().invocations.save([1, 2, 3].map(() => ({ ...record(50, 31), logs })));
    const { retention, pruned } = open();
    await retention.sweep();
    expect(pruned).toEqual([
      ['records', 1],
      ['records', 1],
      ['records', 1],
    ]);
  });

  test('payloads of what waits are never too old or too many', async () => {
    const event = await current().events.create('alice', draft());
    const id = uuidv7({ msecs: daysAgo(50).getTime() });
    await current().queue.enqueue([request(event, { id, payload: 'p'.repeat(100) })]);
    const days = { records: 1, bodies: 1, logs: 1 };
    await open({ days, maxBodyBytes: 10 }).retention.sweep();
    const [size] = await current().retention.bodySizes({ before: undefined, limit: 10 });
    expect(size).toMatchObject({ id, bytes: 102 });
    // Ended, it is one body too many, and then no record any more.
    await current().invocations.save([{ ...record(50, 0), id }]);
    await open({
      days: { records: 0, bodies: 0, logs: 0 },
      maxBodyBytes: 200,
      now: () => new Date(NOW.getTime() + 1),
    }).retention.sweep();
    expect(await current().retention.bodySizes({ before: undefined, limit: 10 })).toHaveLength(1);
    const { retention, pruned } = open({
      days: { records: 0, bodies: 0, logs: 0 },
      maxBodyBytes: 10,
      now: () => new Date(NOW.getTime() + 1),
    });
    await retention.sweep();
    expect(pruned).toEqual([['bodies', 1]]);
    expect(await current().retention.bodySizes({ before: undefined, limit: 10 })).toEqual([]);
    expect(await left([{ id }])).toEqual([true]);
  });

  test('nothing is begun after the end', async () => {
    const old = Array.from({ length: 9 }, () => record(50, 31));
    await current().invocations.save(old);
    const { retention, pruned } = open({ pauseMs: 60_000 });
    const sweeping = retention.sweep();
    await retention.close();
    await sweeping;
    expect(pruned).toEqual([['records', 3]]);
  });
}
