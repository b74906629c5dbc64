import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RECORD } from '../contract/samples.ts';
import { Harness, jsonOf } from './harness.ts';

interface View {
  id: string;
  status: string;
  logs: string;
  result?: { body: string };
}

let gateway: Harness;
beforeEach(async () => {
  gateway = await Harness.open();
  await gateway.deploy();
});
afterEach(() => gateway[Symbol.asyncDispose]());

const RESULT = { statusCode: 200, headers: {}, cookies: [], body: 'hi', isBase64Encoded: false };

const accept = async (sub = 'alice', scope?: string) => {
  const headers = { ...(await gateway.bearer(sub, scope)), prefer: 'respond-async' };
  const response = await gateway.app.request('/e/hello', { method: 'POST', headers });
  expect(response.status).toBe(202);
  return (await jsonOf<View>(response)).id;
};

/** Ends all that waits. */
const endAll = async (status: 'succeeded' | 'dead') => {
  const ending = { status, record: RECORD, failed: status === 'dead' };
  for (;;) {
    const claimed = await gateway.store.queue.claim('test:1', 50, 60_000);
    if (claimed.length === 0) return;
    for (const one of claimed)
      await gateway.store.queue.end(one, status === 'dead' ? ending : { ...ending, result: RESULT });
  }
};

describe('who may call a function of another', () => {
  test('sees how their own call stands and what came of it, and not what it printed', async () => {
    const scope = 'event:hello:invoke';
    const mine = await accept('bob', scope);
    const anothers = await accept('alice');
    await endAll('succeeded');
    const look = async (id: string) =>
      gateway.app.request(`/v1/invocations/${id}`, { headers: await gateway.bearer('bob', scope) });
    const seen = await jsonOf<View>(await look(mine));
    expect(seen).toMatchObject({ id: mine, status: 'succeeded', logs: '', result: { body: 'hi' } });
    expect((await look(anothers)).status).toBe(403);
    const owner = await jsonOf<View>(await gateway.send('GET', `/v1/invocations/${mine}`));
    expect(owner).toMatchObject({ logs: RECORD.logs, result: { body: 'hi' } });
  });
});

describe('a list by status', () => {
  const list = (query: string, sub?: string) =>
    gateway.send('GET', `/v1/invocations?${query}`, undefined, sub);
  const idsOf = async (response: Response) =>
    (await jsonOf<{ items: View[] }>(response)).items.map(({ id }) => id);

  test('has all that waits or is dead of its owner, page by page and newest first', async () => {
    const ids = [await accept(), await accept(), await accept()];
    await gateway.deploy({ name: 'other' }, 'bob');
    expect(await idsOf(await list('status=queued'))).toEqual(ids.toReversed());
    await endAll('dead');
    expect(await idsOf(await list('status=queued'))).toEqual([]);
    const first = await jsonOf<{ items: View[]; nextCursor: string }>(await list('status=dead&limit=2'));
    expect(first.items.map(({ id }) => id)).toEqual([ids[2], ids[1]]);
    expect(await idsOf(await list(`status=dead&limit=2&cursor=${first.nextCursor}`))).toEqual([ids[0]]);
    expect(await idsOf(await list('status=dead', 'bob'))).toEqual([]);
  });

  test('of what has ended well is of one event, and says so', async () => {
    const id = await accept();
    await endAll('succeeded');
    expect(await idsOf(await list('status=succeeded&event=hello'))).toEqual([id]);
    const refused = await list('status=succeeded');
    expect(refused.status).toBe(422);
    expect(await refused.json()).toMatchObject({ errors: [{ path: 'event' }] });
  });
});

describe('dead invocations of an event', () => {
  const redrive = (body: unknown, sub?: string) =>
    gateway.send('POST', '/v1/events/hello/redrive', body, sub);
  const redriven = async (body: unknown) =>
    (await jsonOf<{ redriven: number }>(await redrive(body))).redriven;

  test('wait again: those that are named, those of a time, and all of them', async () => {
    const ids = [await accept(), await accept(), await accept(), await accept()];
    await endAll('dead');
    expect(await redriven({ status: 'dead', ids: [] })).toBe(0);
    expect(await redriven({ status: 'dead', before: '2020-01-01T00:00:00Z' })).toBe(0);
    expect(await redriven({ status: 'dead', ids: [ids[0], 'none'] })).toBe(1);
    expect(await redriven({ status: 'dead', before: '2100-01-01T00:00:00Z' })).toBe(3);
    expect(await redriven({ status: 'dead' })).toBe(0);
    expect(await gateway.store.queue.depth()).toMatchObject({ queued: 4 });
  });

  test('are their owner’s, and no others are meant', async () => {
    expect((await redrive({ status: 'dead' }, 'bob')).status).toBe(404);
    const refused = await redrive({ status: 'succeeded' });
    expect(refused.status).toBe(422);
    expect(await refused.json()).toMatchObject({ errors: [{ path: 'status' }] });
  });
});

describe('the settings of an event', () => {
  const patch = (async: unknown) => gateway.send('PATCH', '/v1/events/hello', { async });

  test('change one by one, and make no new version', async () => {
    expect((await patch({ attempts: 5, concurrency: 2 })).status).toBe(200);
    const changed = await jsonOf<Record<string, unknown>>(await patch({ backoffMs: 50 }));
    expect(changed).toMatchObject({ version: 1, async: { attempts: 5, concurrency: 2, backoffMs: 50 } });
    expect(await jsonOf(await patch({ concurrency: null }))).toMatchObject({ async: { attempts: 5 } });
  });

  test('that make no sense are refused by their path', async () => {
    const refused = await patch({ attempts: 0 });
    expect(refused.status).toBe(422);
    expect(await refused.json()).toMatchObject({ errors: [{ path: 'async.attempts' }] });
  });
});
