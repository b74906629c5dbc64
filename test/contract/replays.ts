import { v7 as uuidv7 } from 'uuid';
import { expect, test } from 'vitest';
import type { Event } from '../../src/core/event.ts';
import type { AttemptRecord } from '../../src/core/queue/queue.ts';
import type { Comparison } from '../../src/core/replays/compare.ts';
import type { KeptCall, Replay, ReplayItem } from '../../src/core/replays/replay.ts';
import type { Store } from '../../src/core/store.ts';
import { draft, invocation } from './samples.ts';

const RESULT = {
  statusCode: 201,
  headers: { a: 'b' },
  cookies: ['c=d'],
  body: '{"x":1}',
  isBase64Encoded: false,
};
const RECORD: AttemptRecord = {
  start: 'warm',
  isolation: 'fake',
  phases: { exec: 5 },
  statusCode: 200,
  exit: null,
  error: null,
  logs: '',
  logsTruncated: false,
};

const kept = (id: string, result: KeptCall['result'] = RESULT): KeptCall => ({
  id,
  payload: '{"body":"hi"}',
  result,
});

/** Ends all that is queued, as a worker does. */
export async function endAll(
  store: Store,
  body: (payload: unknown, version: number) => string,
): Promise<void> {
  for (const claim of await store.queue.claim('lease', 100, 60_000)) {
    const result = { ...RESULT, statusCode: 200, body: body(claim.payload, claim.eventVersion) };
    await store.queue.end(claim, { status: 'succeeded', record: RECORD, failed: false, result });
  }
}

/** What every Store promises of kept calls and of what is run again. */
export function replaysContract(open: () => Store): void {
  const called = async (event: Event, over: Parameters<typeof invocation>[0] = {}) => {
    const record = invocation({ eventId: event.id, ...over });
    await open().invocations.save([record]);
    return record.id;
  };

  const replayOf = (event: Event, sources: string[], over: Partial<Replay> = {}): Replay => ({
    id: uuidv7(),
    ownerId: 'alice',
    eventName: event.name,
    version: 1,
    compareTo: null,
    ignore: ['/at'],
    createdAt: new Date('2026-01-01T00:00:00Z'),
    items: sources.map((sourceId) => ({
      sourceId,
      candidateId: uuidv7(),
      baselineId: null,
      comparison: null,
    })),
    ...over,
  });

  const start = (event: Event, replay: Replay) =>
    open().replays.start(replay, ({ sourceId, candidateId }: ReplayItem, payload) => [
      {
        id: candidateId,
        event,
        caller: { userId: 'alice', tier: null },
        trigger: 'replay',
        payload,
        replayOf: sourceId,
      },
    ]);

  test('what a call was given and answered is kept, once', async () => {
    const event = await open().events.create('alice', draft());
    const id = await called(event);
    expect(await open().replays.payloadOf(id)).toBeUndefined();
    await open().replays.keep([kept(id), { ...kept(uuidv7()), result: undefined }]);
    await open().replays.keep([{ ...kept(id), payload: '"other"' }]);
    expect(await open().replays.payloadOf(id)).toEqual({ payload: { body: 'hi' } });
    expect(await open().replays.side(id)).toMatchObject({ invocation: { id }, result: RESULT });
    expect(await open().replays.side(uuidv7())).toBe('gone');
  });

  test('the last that can be run again are those of the event that have ended and are kept', async () => {
    const event = await open().events.create('alice', draft());
    const good = [await called(event), await called(event, { status: 'failed' }), await called(event)];
    const others = [
      await called(event, { status: 'running' }),
      await called(event, { trigger: 'replay' }),
      await called(event, { eventId: uuidv7() }),
    ];
    await called(event);
    await open().replays.keep([...good, ...others].map((id) => kept(id)));
    expect(await open().replays.recent(event, 10)).toEqual(good.toReversed());
    expect(await open().replays.recent(event, 1)).toEqual([good[2]]);
  });

  test('a replay is found with what it runs, and what came of it', async () => {
    const event = await open().events.create('alice', draft());
    const [first, second, lost] = [await called(event), await called(event), await called(event)];
    await open().replays.keep([kept(first), kept(second)]);
    const replay = replayOf(event, [first, second, lost]);
    await start(event, replay);
    const found = await open().replays.find('alice', replay.id);
    expect(found).toEqual({ ...replay, items: replay.items.slice(0, 2) });
    expect(await open().replays.find('bob', replay.id)).toBeUndefined();
    const candidate = replay.items[0]!.candidateId;
    expect(await open().replays.side(candidate)).toBe('pending');
    expect(await open().invocations.find(candidate)).toMatchObject({
      status: 'queued',
      trigger: 'replay',
      replayOf: first,
    });
    await endAll(open(), (payload) => JSON.stringify(payload));
    expect(await open().replays.side(candidate)).toMatchObject({ result: { body: '{"body":"hi"}' } });
    const comparison: Comparison = {
      verdict: 'same',
      durationMs: { before: 1, after: 2 },
      durationRatio: 2,
    };
    await open().replays.saveComparison(replay.id, candidate, comparison);
    await open().replays.saveComparison(replay.id, candidate, { ...comparison, verdict: 'different' });
    const items = (await open().replays.find('alice', replay.id))?.items;
    expect(items?.map((item) => item.comparison)).toEqual([comparison, null]);
  });

  test('old replays are removed with their items, the oldest first, and younger ones stay', async () => {
    const event = await open().events.create('alice', draft());
    const first = await called(event);
    await open().replays.keep([kept(first)]);
    const replays = [replayOf(event, [first]), replayOf(event, [first]), replayOf(event, [first])];
    for (const replay of replays) await start(event, replay);
    const found = async () => {
      const all = await Promise.all(replays.map(({ id }) => open().replays.find('alice', id)));
      return all.map((replay) => replay !== undefined);
    };
    const [oldest, , youngest] = replays;
    expect(await open().replays.prune(oldest!.createdAt, 10)).toBe(0);
    const later = new Date(youngest!.createdAt.getTime() + 1);
    expect(await open().replays.prune(later, 2)).toBe(2);
    expect(await found()).toEqual([false, false, true]);
    expect(await open().replays.prune(later, 2)).toBe(1);
    expect(await open().replays.prune(later, 2)).toBe(0);
  });
}
