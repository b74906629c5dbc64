import { describe, expect, test } from 'vitest';
import { Admission, type Release } from '../../src/core/admission.ts';
import { never, seeded, settle } from './fakes.ts';

/** Enters for each name in turn and notes who got in, in which order. */
function enterAll(admission: Admission, names: readonly string[]) {
  const order: string[] = [];
  const releases: Release[] = [];
  const entered = names.map((name) =>
    admission.enter(name, never).then((release) => {
      order.push(name);
      releases.push(release);
    }),
  );
  return { order, releases, entered };
}

describe('admission', () => {
  test('lets so many run, and queues the rest in order', async () => {
    const admission = new Admission({ maxRunning: 2, maxQueued: 10 });
    const { order, releases } = enterAll(admission, ['a', 'b', 'c', 'd']);
    await settle();
    expect(order).toEqual(['a', 'b']);
    expect([admission.running, admission.queued]).toEqual([2, 2]);
    releases[0]!();
    await settle();
    expect(order).toEqual(['a', 'b', 'c']);
    releases[1]!();
    releases[2]!();
    await settle();
    expect(order).toEqual(['a', 'b', 'c', 'd']);
    releases[3]!();
    expect([admission.running, admission.queued]).toEqual([0, 0]);
  });

  test("one user's flood does not delay another's first call beyond one turn", async () => {
    const admission = new Admission({ maxRunning: 1, maxQueued: 1_000 });
    const flood = Array.from({ length: 100 }, () => 'flood');
    const { order, releases } = enterAll(admission, [...flood, 'other', 'third', 'other']);
    for (let served = 0; served < 103; served++) {
      await settle();
      releases[served]!();
    }
    await settle();
    expect(order.indexOf('other')).toBeLessThanOrEqual(2);
    expect(order.indexOf('third')).toBeLessThanOrEqual(3);
    expect(order.lastIndexOf('other')).toBeLessThanOrEqual(6);
    expect(order).toHaveLength(103);
  });

  test('refuses when too many wait, and says when to come again', async () => {
    const admission = new Admission({ maxRunning: 1, maxQueued: 1 });
    enterAll(admission, ['a', 'a']);
    await expect(admission.enter('a', never)).rejects.toMatchObject({
      code: 'too_many_requests',
      retryAfterSeconds: 1,
    });
    expect([admission.running, admission.queued]).toEqual([1, 1]);
  });

  test("a flood that fills the queue gives way to another user's first call", async () => {
    const admission = new Admission({ maxRunning: 1, maxQueued: 3 });
    const running = await admission.enter('flood', never);
    const order: string[] = [];
    const flood = [1, 2, 3].map((nth) =>
      admission.enter('flood', never).then(
        (release) => {
          order.push(`flood ${nth}`);
          release();
        },
        (error) => {
          order.push(`refused ${nth}`);
          expect(error).toMatchObject({ code: 'too_many_requests' });
        },
      ),
    );
    const other = admission.enter('other', never).then((release) => {
      order.push('other');
      release();
    });
    await settle();
    expect(order).toEqual(['refused 3']);
    expect(admission.queued).toBe(3);
    running();
    await Promise.all([...flood, other]);
    expect(order.slice(1).sort()).toEqual(['flood 1', 'flood 2', 'other']);
    expect([admission.running, admission.queued]).toEqual([0, 0]);
  });

  test('a caller who leaves the queue takes no turn', async () => {
    const admission = new Admission({ maxRunning: 1, maxQueued: 10 });
    const release = await admission.enter('a', never);
    const leaves = new AbortController();
    const gone = admission.enter('a', leaves.signal);
    const stays = admission.enter('b', never);
    leaves.abort(new Error('left'));
    await expect(gone).rejects.toThrow('left');
    expect(admission.queued).toBe(1);
    release();
    (await stays)();
    expect([admission.running, admission.queued]).toEqual([0, 0]);
    await expect(admission.enter('a', leaves.signal)).rejects.toThrow('left');
  });

  test('a caller who comes while another leaves is not left waiting', async () => {
    const admission = new Admission({ maxRunning: 1, maxQueued: 10 });
    const release = await admission.enter('a', never);
    const leaves = new AbortController();
    const gone = expect(admission.enter('b', leaves.signal)).rejects.toThrow('left');
    leaves.abort(new Error('left'));
    release();
    const next = admission.enter('c', never);
    await gone;
    await settle();
    expect([admission.running, admission.queued]).toEqual([1, 0]);
    (await next)();
  });

  test('a user who leaves and comes again at once is not forgotten', async () => {
    const admission = new Admission({ maxRunning: 1, maxQueued: 10 });
    const [first] = await Promise.all([admission.enter('a', never)]);
    const leaves = new AbortController();
    const gone = expect(admission.enter('b', leaves.signal)).rejects.toThrow('left');
    const blocks = admission.enter('a', never);
    leaves.abort(new Error('left'));
    first!();
    const again = admission.enter('b', never);
    await gone;
    (await blocks)();
    (await again)();
    expect([admission.running, admission.queued]).toEqual([0, 0]);
  });

  test('releasing twice frees one place', async () => {
    const admission = new Admission({ maxRunning: 1, maxQueued: 10 });
    const release = await admission.enter('a', never);
    release();
    const second = await admission.enter('a', never);
    release();
    expect(admission.running).toBe(1);
    second();
    expect(admission.running).toBe(0);
  });

  test('the time to come again grows with those who are ahead', async () => {
    const admission = new Admission({ maxRunning: 1, maxQueued: 100 });
    enterAll(admission, Array(41).fill('a'));
    // 41 of 100 ms each, which is what is assumed of calls until some have ended.
    expect(admission.retryAfterSeconds).toBe(5);
  });

  test('at random it runs as many as it may, never more, and ends with none', async () => {
    const random = seeded(7);
    const admission = new Admission({ maxRunning: 3, maxQueued: 8 });
    const running: Release[] = [];
    const callers = new Set<AbortController>();
    for (let step = 0; step < 3_000; step++) {
      const chance = random();
      if (chance < 0.5) {
        const caller = new AbortController();
        callers.add(caller);
        admission
          .enter(`user ${Math.floor(random() * 4)}`, caller.signal)
          .then((release) => running.push(release))
          .catch(() => {})
          .finally(() => callers.delete(caller));
      } else if (chance < 0.85) running.splice(Math.floor(random() * running.length), 1)[0]?.();
      else [...callers][Math.floor(random() * callers.size)]?.abort(new Error('left'));
      if (random() < 0.5) await settle();
      expect(admission.running).toBeLessThanOrEqual(3);
      expect(admission.queued).toBeLessThanOrEqual(8);
      if (admission.queued > 0) expect(admission.running).toBe(3);
    }
    for (let turn = 0; turn < 20; turn++) {
      await settle();
      for (const release of running.splice(0)) release();
    }
    await settle();
    expect([admission.running, admission.queued, callers.size]).toEqual([0, 0, 0]);
  });
});

describe('what nobody waits for', () => {
  test('gives way to everybody who waits, and leaves their own user a place', async () => {
    const admission = new Admission({ maxRunning: 2, maxQueued: 10 });
    const releases: Release[] = [];
    const order: string[] = [];
    const note = (name: string) => (release: Release) => {
      order.push(name);
      releases.push(release);
    };
    for (const name of ['behind 1', 'behind 2', 'behind 3'])
      admission.enterBehind('batch', never).then(note(name));
    await settle();
    expect(order).toEqual(['behind 1', 'behind 2']);
    // Comes last, and is first.
    admission.enter('batch', never).then(note('waited for'));
    admission.enter('other', never).then(note('another’s'));
    await settle();
    for (const release of releases.splice(0)) release();
    await settle();
    expect(order.slice(2).sort()).toEqual(['another’s', 'waited for']);
    for (const release of releases.splice(0)) release();
    await settle();
    expect(order.at(-1)).toBe('behind 3');
    for (const release of releases.splice(0)) release();
    expect([admission.running, admission.queued]).toEqual([0, 0]);
  });

  test('takes all slots of its user but one', async () => {
    const admission = new Admission({ maxRunning: 10, maxQueued: 10 });
    const allowance = { concurrency: 3, ratePerMinute: null };
    const begun: string[] = [];
    const leaving = new AbortController();
    for (const name of ['a', 'b'])
      admission.enterBehind('user', never, allowance).then(() => begun.push(name));
    const third = admission.enterBehind('user', leaving.signal, allowance);
    await settle();
    expect(begun).toEqual(['a', 'b']);
    await admission.enter('user', never, allowance);
    leaving.abort(new Error('left'));
    await expect(third).rejects.toThrow('left');
    expect([admission.running, admission.queued]).toEqual([3, 0]);
  });
});
