import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { endAll } from '../contract/replays.ts';
import { invocation } from '../contract/samples.ts';
import { Harness, jsonOf } from './harness.ts';

interface ReplayView {
  id: string;
  status: string;
  summary: Record<string, unknown>;
  items: { invocationId: string; comparison: Record<string, unknown> | null }[];
}

let gateway: Harness;
let ids: string[];

/** Three kept calls of version 1, which answered what they were asked; version 2 is current. */
beforeEach(async () => {
  gateway = await Harness.open();
  await gateway.deploy();
  const event = (await gateway.store.events.find('hello'))!;
  const records = [0, 1, 2].map(() => invocation({ eventId: event.id, phases: { exec: 10 } }));
  ids = records.map(({ id }) => id);
  await gateway.store.invocations.save(records);
  await gateway.store.replays.keep(
    ids.map((id, index) => ({
      id,
      payload: JSON.stringify({ n: index }),
      result: {
        statusCode: 200,
        headers: {},
        cookies: [],
        body: JSON.stringify({ n: index, id }),
        isBase64Encoded: false,
      },
    })),
  );
  await gateway.send('PATCH', '/v1/events/hello', { code: 'two' });
});
afterEach(() => gateway[Symbol.asyncDispose]());

const again = (body: unknown = {}, id = ids[0]!, sub?: string) =>
  gateway.send('POST', `/v1/invocations/${id}/replay`, body, sub);
const compare = (body: unknown, sub?: string) => gateway.send('POST', '/v1/events/hello/replays', body, sub);
const read = async (id: string) => jsonOf<ReplayView>(await gateway.send('GET', `/v1/replays/${id}`));

describe('an invocation that is run again', () => {
  test('runs on its own version with what it was called with', async () => {
    const response = await again();
    expect(response.status).toBe(202);
    const view = await jsonOf<{ id: string }>(response);
    expect(view).toEqual({
      id: expect.any(String),
      status: 'queued',
      event: 'hello',
      version: 1,
      replayOf: ids[0],
    });
    expect(response.headers.get('location')).toBe(`/v1/invocations/${view.id}`);
    expect(gateway.enqueued).toMatchObject([
      {
        id: view.id,
        trigger: 'replay',
        payload: { n: 0 },
        replayOf: ids[0],
        event: { current: { version: 1 } },
        caller: { userId: 'alice' },
      },
    ]);
  });

  test('runs on another one, by its number or an alias', async () => {
    expect(await (await again({ version: 2 })).json()).toMatchObject({ version: 2 });
    await gateway.send('PUT', '/v1/events/hello/aliases/live', { version: 2 });
    expect(await (await again({ alias: 'live' })).json()).toMatchObject({ version: 2 });
  });

  test.each<[string, unknown, number, string]>([
    ['a version that there is not', { version: 9 }, 404, 'not_found'],
    ['an alias that there is not', { alias: 'nobody' }, 404, 'not_found'],
    ['both', { version: 1, alias: 'live' }, 422, 'validation_failed'],
    ['an unknown member', { on: 1 }, 422, 'validation_failed'],
  ])('with %s is refused', async (_what, body, status, code) => {
    const response = await again(body);
    expect([response.status, (await jsonOf<{ code: string }>(response)).code]).toEqual([status, code]);
    expect(gateway.enqueued).toEqual([]);
  });

  test('is gone when what it was called with is not kept', async () => {
    const lost = invocation({ eventId: (await gateway.store.events.find('hello'))!.id });
    await gateway.store.invocations.save([lost]);
    const response = await again({}, lost.id);
    expect([response.status, (await jsonOf<{ code: string }>(response)).code]).toEqual([410, 'payload_gone']);
  });

  test('is its owner’s to run, who may call it, while its event is there', async () => {
    expect((await again({}, ids[0], 'bob')).status).toBe(404);
    expect((await again({}, 'nonsense')).status).toBe(404);
    const headers = { ...(await gateway.bearer('alice', 'events:read')), 'content-type': 'application/json' };
    const path = `/v1/invocations/${ids[0]}/replay`;
    expect((await gateway.app.request(path, { method: 'POST', headers, body: '{}' })).status).toBe(403);
    await gateway.send('DELETE', '/v1/events/hello');
    expect((await again()).status).toBe(404);
    await gateway.deploy();
    expect((await again()).status).toBe(404);
  });
});

describe('a version that is tried on the last invocations', () => {
  test('differs where it does, and the answer says so as it comes', async () => {
    const response = await compare({ version: 2, last: 3 });
    expect(response.status).toBe(202);
    const begun = await jsonOf<ReplayView>(response);
    expect(response.headers.get('location')).toBe(`/v1/replays/${begun.id}`);
    expect(begun).toMatchObject({ status: 'running', summary: { total: 3, pending: 3 } });
    expect(begun.items.map((item) => item.invocationId)).toEqual(ids.toReversed());
    expect((await read(begun.id)).status).toBe('running');
    await endAll(gateway.store, (payload) => {
      const { n } = payload as { n: number };
      return JSON.stringify({ n: n === 1 ? 'one' : n, id: 'another' });
    });
    const done = await read(begun.id);
    expect(done).toMatchObject({
      status: 'done',
      summary: {
        total: 3,
        pending: 0,
        different: 3,
        body: 3,
        durationMs: { before: 10, after: 5 },
        durationRatio: 0.5,
      },
    });
    const paths = (done.items[1]!.comparison!.body as { paths: unknown }).paths;
    expect(paths).toEqual([
      { path: '/n', before: '1', after: '"one"' },
      { path: '/id', before: '"<invocation id>"', after: '"another"' },
    ]);
    const ignoring = await jsonOf<ReplayView>(await compare({ version: 2, last: 3, ignore: ['/id'] }));
    await endAll(gateway.store, (payload) => JSON.stringify(payload));
    expect(await read(ignoring.id)).toMatchObject({ summary: { same: 3, different: 0 } });
  });

  test('is refused where it demands more isolation than there is, alone and compared', async () => {
    await gateway.send('PATCH', '/v1/events/hello', { minIsolation: 'paranoid' });
    const refused = { code: 'isolation_unavailable', status: 503 };
    expect(await (await again({ version: 3 })).json()).toMatchObject(refused);
    expect(await (await compare({ version: 3, last: 1 })).json()).toMatchObject(refused);
    expect(await (await compare({ version: 1, compareTo: 3, last: 1 })).json()).toMatchObject(refused);
    expect(await gateway.store.queue.claim('test:1', 5, 1_000)).toEqual([]);
  });

  test('is compared with another one that is run, too', async () => {
    const begun = await jsonOf<ReplayView>(await compare({ version: 2, compareTo: 1, last: 2 }));
    await endAll(gateway.store, (_payload, version) => `version ${version}`);
    const done = await read(begun.id);
    expect(done).toMatchObject({ status: 'done', summary: { total: 2, different: 2 } });
    expect(done.items[0]!.comparison!.body).toEqual({ kind: 'text', at: 8, before: '1', after: '2' });
  });

  test.each<[string, Record<string, unknown>, number]>([
    ['no version', {}, 422],
    ['a version that there is not', { version: 9 }, 404],
    ['nothing to compare to', { version: 2, compareTo: 9 }, 404],
    ['too many', { version: 2, last: 101 }, 422],
    ['none', { version: 2, last: 0 }, 422],
    ['what is no pointer', { version: 2, ignore: ['id'] }, 422],
  ])('with %s is refused', async (_what, body, status) => {
    expect((await compare(body)).status).toBe(status);
  });

  test('is its owner’s, and needs invocations that are kept', async () => {
    expect((await compare({ version: 2 }, 'bob')).status).toBe(404);
    const begun = await jsonOf<ReplayView>(await compare({ version: 2 }));
    expect((await gateway.send('GET', `/v1/replays/${begun.id}`, undefined, 'bob')).status).toBe(404);
    expect((await gateway.send('GET', '/v1/replays/nonsense')).status).toBe(404);
    await gateway.deploy({ name: 'new' });
    const none = await gateway.send('POST', '/v1/events/new/replays', { version: 1 });
    expect([none.status, (await jsonOf<{ code: string }>(none)).code]).toEqual([410, 'payload_gone']);
  });
});
