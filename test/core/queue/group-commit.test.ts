import { describe, expect, test } from 'vitest';
import type { EnqueueRequest } from '../../../src/core/enqueue.ts';
import { GroupCommit, type GroupCommitOptions } from '../../../src/core/queue/group-commit.ts';
import { GatewayError } from '../../../src/errors.ts';
import { event } from '../gateway.ts';

const request = (id: string, payload: unknown = {}): EnqueueRequest => ({
  id,
  event: event(),
  caller: { userId: 'alice', tier: null },
  trigger: 'async',
  payload,
});

/** A queue that notes what is written together, and waits for as long as the test says. */
function open(over: Partial<GroupCommitOptions> = {}, write: (ids: string[]) => unknown = () => {}) {
  const groups: string[][] = [];
  let told = 0;
  const commit = new GroupCommit({
    queue: {
      enqueue: async (requests) => {
        const ids = requests.map(({ id }) => id);
        groups.push(ids);
        await write(ids);
        return ids.map((id) => ({ id, duplicate: false }));
      },
    },
    admit: async () => {},
    onEnqueued: () => {
      told += 1;
    },
    ...over,
  });
  return { commit, groups, told: () => told };
}

describe('what is asked for at the same time', () => {
  test('is written together, and what comes meanwhile is the next group', async () => {
    const { promise: disk, resolve: synced } = Promise.withResolvers<void>();
    const { commit, groups, told } = open({ batchSize: 3 }, () => disk);
    const first = ['a', 'b'].map((id) => commit.enqueue(request(id)));
    await expect.poll(() => groups).toEqual([['a', 'b']]);
    const later = ['c', 'd', 'e', 'f'].map((id) => commit.enqueue(request(id)));
    synced();
    const enqueued = await Promise.all([...first, ...later]);
    expect(groups).toEqual([['a', 'b'], ['c', 'd', 'e'], ['f']]);
    expect(enqueued.map(({ id }) => id)).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    expect(told()).toBe(3);
  });

  test('is not written together when that would be too many bytes', async () => {
    const { commit, groups } = open({ batchBytes: 100 });
    const bodies = { a: 40, b: 50, c: 60, d: 500, e: 1 };
    await Promise.all(
      Object.entries(bodies).map(([id, bytes]) => commit.enqueue(request(id, { body: 'x'.repeat(bytes) }))),
    );
    expect(groups).toEqual([['a', 'b'], ['c'], ['d'], ['e']]);
  });

  test('is not refused for one that the database refuses', async () => {
    const { commit, groups } = open({}, (ids) => {
      if (ids.includes('bad')) throw new Error('not in this table');
    });
    const asked = ['a', 'bad', 'b'].map((id) => commit.enqueue(request(id)));
    const ends = await Promise.allSettled(asked);
    expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(groups).toEqual([['a', 'bad', 'b'], ['a'], ['bad'], ['b']]);
  });

  test('is refused at once, all of it, while the database is away, and taken when it is back', async () => {
    let away = true;
    const { commit, groups } = open({}, () => {
      if (away) throw new GatewayError('store_unavailable', 'away');
    });
    const ends = await Promise.allSettled(['a', 'b'].map((id) => commit.enqueue(request(id))));
    expect(ends).toMatchObject([
      { reason: { code: 'store_unavailable' } },
      { reason: { code: 'store_unavailable' } },
    ]);
    expect(groups).toHaveLength(1);
    away = false;
    expect(await commit.enqueue(request('c'))).toEqual({ id: 'c', duplicate: false });
  });

  test('is refused when too many wait, and whoever may not ask is not written', async () => {
    const { promise: disk, resolve: synced } = Promise.withResolvers<void>();
    const admit = async ({ id }: EnqueueRequest) => {
      if (id === 'greedy') throw new GatewayError('too_many_requests', 'slow down');
    };
    const { commit, groups } = open({ capacity: 2, admit }, () => disk);
    await expect(commit.enqueue(request('greedy'))).rejects.toMatchObject({ code: 'too_many_requests' });
    const writing = commit.enqueue(request('a'));
    await expect.poll(() => groups).toEqual([['a']]);
    const waiting = ['b', 'c'].map((id) => commit.enqueue(request(id)));
    await expect(commit.enqueue(request('d'))).rejects.toMatchObject({
      code: 'store_unavailable',
      retryAfterSeconds: 1,
    });
    synced();
    await Promise.all([writing, ...waiting]);
    await commit.idle();
    expect(groups).toEqual([['a'], ['b', 'c']]);
  });
});
