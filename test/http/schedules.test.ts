import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Harness, jsonOf, NOW } from './harness.ts';

let gateway: Harness;
beforeEach(async () => {
  gateway = await Harness.open();
  await gateway.deploy();
});
afterEach(() => gateway[Symbol.asyncDispose]());

const path = '/v1/schedules';
const post = (body: unknown, sub?: string) => gateway.send('POST', path, body, sub);
const put = (body: unknown) => gateway.send('PUT', `${path}/nightly`, body);
const basic = { name: 'nightly', event: 'hello', cron: '0 3 * * *' };

describe('a schedule', () => {
  test('is made with its defaults, shown, listed and removed', async () => {
    const made = await post(basic);
    expect(made.status).toBe(201);
    expect(made.headers.get('location')).toBe(`${path}/nightly`);
    const view = await made.json();
    expect(view).toEqual({
      id: expect.any(String),
      name: 'nightly',
      event: 'hello',
      cron: '0 3 * * *',
      at: null,
      timeZone: 'UTC',
      payload: null,
      enabled: true,
      disabledReason: null,
      catchUp: 'one',
      overlap: 'allow',
      maxRuns: null,
      jitterMs: 0,
      nextAt: '2020-03-13T03:00:00.000Z',
      runs: 0,
      lastRunAt: null,
      lastInvocationId: null,
      skipped: 0,
      lastSkippedAt: null,
      lastSkipReason: null,
      createdAt: expect.any(String),
      updatedAt: expect.any(String),
    });
    expect(await (await gateway.send('GET', `${path}/nightly`)).json()).toEqual(view);
    expect(await (await gateway.send('GET', path)).json()).toEqual({ items: [view] });
    expect((await gateway.send('DELETE', `${path}/nightly`)).status).toBe(204);
    expect((await gateway.send('DELETE', `${path}/nightly`)).status).toBe(404);
    expect((await gateway.send('GET', `${path}/nightly`)).status).toBe(404);
  });

  test('goes by the clock of a time zone, once or again and again', async () => {
    const nextOf = async (body: object) =>
      (await jsonOf<{ nextAt: string }>(await post({ ...basic, ...body }))).nextAt;
    const berlin = { timeZone: 'Europe/Berlin' };
    expect(await nextOf({ name: 'a', ...berlin })).toBe('2020-03-13T02:00:00.000Z');
    const once = { cron: undefined, ...berlin };
    expect(await nextOf({ name: 'b', ...once, at: '2030-07-01T10:00:00' })).toBe('2030-07-01T08:00:00.000Z');
    expect(await nextOf({ name: 'c', ...once, at: '2030-07-01T10:00:00Z' })).toBe('2030-07-01T10:00:00.000Z');
  });

  test('is replaced as a whole, and goes on behind what has run already', async () => {
    await post({ ...basic, maxRuns: 3 });
    const before = (await gateway.store.schedules.find('alice', 'nightly'))!;
    const lastDueAt = new Date(NOW.getTime() + 86_400_000);
    await gateway.store.schedules.advance(before, { ...before, runs: 2, lastDueAt }, []);
    const replaced = await put({ event: 'hello', cron: '0 12 * * *' });
    expect(replaced.status).toBe(200);
    expect(await replaced.json()).toMatchObject({
      cron: '0 12 * * *',
      maxRuns: null,
      runs: 0,
      nextAt: '2020-03-14T12:00:00.000Z',
    });
    expect(await (await put({ ...basic, enabled: false })).json()).toMatchObject({
      enabled: false,
      nextAt: null,
    });
  });

  test('calls a version or an alias that there is', async () => {
    expect((await post({ ...basic, event: 'hello@1' })).status).toBe(201);
    await gateway.send('PUT', '/v1/events/hello/aliases/live', { version: 1 });
    expect((await put({ ...basic, event: 'hello:live' })).status).toBe(200);
  });

  test.each<[string, Record<string, unknown>, string[]]>([
    ['neither an expression nor a moment', { cron: undefined }, ['cron']],
    ['both', { at: '2030-01-01T00:00:00Z' }, ['at']],
    ['an expression with a fault', { cron: '0 25 * * *' }, ['cron']],
    ['an expression that never comes due', { cron: '0 0 30 2 *' }, ['cron']],
    ['a moment that is none', { cron: undefined, at: 'tomorrow' }, ['at']],
    ['a moment that is over', { cron: undefined, at: '2020-01-01T00:00:00Z' }, ['at']],
    ['a time zone that there is not', { timeZone: 'Europe/Atlantis' }, ['timeZone']],
    ['an event that there is not', { event: 'nobody' }, ['event']],
    ['a version that there is not', { event: 'hello@9' }, ['event']],
    ['an alias that there is not', { event: 'hello:nobody' }, ['event']],
    ['what is no name of an event', { event: 'Hello!' }, ['event']],
    ['policies that there are not', { catchUp: 'maybe', overlap: 'never' }, ['catchUp', 'overlap']],
    ['numbers out of range', { maxRuns: 0, jitterMs: -1 }, ['maxRuns', 'jitterMs']],
    ['an unknown member', { every: 5 }, ['every']],
    ['a bad name', { name: 'Nightly Run' }, ['name']],
  ])('with %s is refused by name', async (_what, changes, paths) => {
    const response = await post({ ...basic, ...changes });
    expect(response.status).toBe(422);
    const { errors } = await jsonOf<{ errors: { path: string }[] }>(response);
    expect(errors.map((error) => error.path)).toEqual(paths);
    expect(await (await gateway.send('GET', path)).json()).toEqual({ items: [] });
  });

  test('says what is wrong with its expression', async () => {
    const response = await post({ ...basic, cron: '0 25 * * *' });
    const { errors } = await jsonOf<{ errors: { message: string }[] }>(response);
    expect(errors[0]?.message).toMatch(/^the hour 25 is not valid; it is one of 0-23/);
  });

  test('of one name there is one for each user, and others see nothing of it', async () => {
    await post(basic);
    const again = await post(basic);
    expect([again.status, (await jsonOf<{ code: string }>(again)).code]).toEqual([409, 'schedule_exists']);
    expect((await gateway.send('GET', `${path}/nightly`, undefined, 'bob')).status).toBe(404);
    expect((await gateway.send('DELETE', `${path}/nightly`, undefined, 'bob')).status).toBe(404);
    expect((await post(basic, 'bob')).status).toBe(422);
    expect((await put({ ...basic, name: 'other' })).status).toBe(422);
  });

  test('is made by who may call its event', async () => {
    const as = async (scope: string) =>
      gateway.app.request(path, {
        method: 'POST',
        headers: { ...(await gateway.bearer('alice', scope)), 'content-type': 'application/json' },
        body: JSON.stringify(basic),
      });
    expect((await as('events:invoke')).status).toBe(403);
    expect((await as('events:write')).status).toBe(403);
    expect((await as('events:write event:hello:invoke')).status).toBe(201);
  });
});
