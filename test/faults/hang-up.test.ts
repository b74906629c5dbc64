import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Engine } from '../engines.ts';
import { onEngine } from '../on-engine.ts';
import { eventuallyNone, processesBearing } from '../traces.ts';
import { problemIn, Raw, request, statusesIn } from './raw.ts';
import { eventually, Served } from './served.ts';

/** In the arguments of a process inside the sandbox: the host sees it for as long as it lives. */
const MARK = '86399.75';
/** A moment for what it says to be out before anybody sees it run. */
const ENDLESS = `echo begun >&2; sleep 0.3; sleep ${MARK}`;
const SLOW = 'echo begun >&2; sleep 1.5; echo finished';
/** Bash streams what it prints. */
const STREAM = `echo first; for n in 1 2 3; do sleep ${MARK}; done`;
const FLOOD = 'sleep 0.1; yes';

function suite({ mode }: Engine): void {
  let gateway: Served;
  let bearer: string;

  beforeAll(async () => {
    const env = { MAX_CONCURRENT_EXECUTIONS: '1', QUEUE_TIMEOUT_MS: '20000' };
    gateway = await Served.start({ mode, env });
    bearer = `authorization: Bearer ${await gateway.token()}`;
  });
  afterAll(async () => {
    const ended = await gateway.stop();
    await gateway[Symbol.asyncDispose]();
    expect(ended).toEqual({ code: 0, left: [] });
  });
  let event: string;
  let events = 0;
  beforeEach(() => {
    events += 1;
    event = `f${events}`;
  });

  const call = async (headers: string[] = [], body = '') => {
    const raw = await Raw.to(gateway.port);
    return raw.write(request(`POST /e/${event}`, [bearer, ...headers], body));
  };
  const running = (count = 1) =>
    eventually(`${count} running`, async () =>
      (await gateway.pools()).reduce((sum, { taken }) => sum + taken, 0) === count ? true : undefined,
    );
  const queued = (count: number) =>
    eventually(`${count} queued`, async () =>
      (await gateway.metric('cronium_queue_length')) === count ? true : undefined,
    );
  /** One slot is all there is: whoever gets it proves that nobody else has it. */
  const serves = async () => {
    await gateway.deploy(`${event}-next`, 'bash', 'echo next');
    expect((await gateway.send(`/e/${event}-next`)).body).toBe('next\n');
  };

  test('while its body is on the way: nothing was begun and nothing is left', async () => {
    await gateway.deploy(event, 'bash', 'echo never');
    for (const headers of [['content-length: 100000'], ['transfer-encoding: chunked']]) {
      const raw = await call(headers, headers[0]!.includes('chunked') ? '5\r\nhel' : 'hello');
      raw[Symbol.dispose]();
    }
    await serves();
    expect(await gateway.records(event)).toEqual([]);
  });

  test('while it waits for its turn: its place is free, and others keep theirs', async () => {
    await gateway.deploy(event, 'bash', SLOW);
    using first = await call(['content-length: 0', 'connection: close']);
    await running();
    const gone = await call(['content-length: 0']);
    await queued(1);
    using last = await call(['content-length: 0', 'connection: close']);
    await queued(2);
    gone[Symbol.dispose]();
    await queued(1);
    expect(statusesIn(await first.toEnd())).toEqual([200]);
    expect(statusesIn(await last.toEnd())).toEqual([200]);
    await gateway.newestOf(event, 3);
    const records = await gateway.records(event);
    expect(records.map(({ status }) => status).sort()).toEqual(['cancelled', 'succeeded', 'succeeded']);
    const cancelled = records.find(({ status }) => status === 'cancelled');
    expect(cancelled).toMatchObject({ start: null, logs: '', error: { code: 'client_closed' } });
    await serves();
  });

  test('while its sandbox boots: the call is over, and the sandbox is nobody’s', async () => {
    await gateway.deploy(event, 'nodejs', 'export const handler = () => 1', { memoryMb: 96 });
    const raw = await call(['x-cronium-start: cold', 'content-length: 0']);
    await eventually('boot', async () =>
      (await gateway.pools()).some(({ key, starting }) => key.includes('/96mb/') && starting > 0)
        ? true
        : undefined,
    );
    raw[Symbol.dispose]();
    expect(await gateway.newestOf(event)).toMatchObject({ status: 'cancelled', logs: '' });
    await serves();
    await gateway.idle();
  });

  test('while the function runs: everything in its sandbox ends at once', async () => {
    await gateway.deploy(event, 'bash', ENDLESS);
    const raw = await call(['content-length: 0']);
    await eventually('process', async () => processesBearing(MARK).length > 0 || undefined);
    const goneAt = performance.now();
    raw[Symbol.dispose]();
    expect(await eventuallyNone(() => processesBearing(MARK))).toEqual([]);
    expect(performance.now() - goneAt).toBeLessThan(5_000);
    expect(await gateway.newestOf(event)).toMatchObject({
      status: 'cancelled',
      logs: 'begun\n',
      error: { code: 'client_closed' },
    });
    await serves();
  });

  test.each([
    ['in the middle of a streamed answer', STREAM, /first/],
    ['in the middle of an answer that it does not keep up with', FLOOD, /y\ny/],
  ])('%s: the function ends with it', async (_, code, seen) => {
    await gateway.deploy(event, 'bash', code);
    const raw = await call(['content-length: 0']);
    await raw.until(seen);
    raw.socket.pause();
    raw[Symbol.dispose]();
    const record = await gateway.newestOf(event);
    expect(record).toMatchObject({ status: 'cancelled', statusCode: 200 });
    expect(await eventuallyNone(() => processesBearing(MARK))).toEqual([]);
    await serves();
  });

  test('only for its own part: the same, because a process that is gone says no more than that', async () => {
    await gateway.deploy(event, 'bash', ENDLESS);
    using raw = await call(['content-length: 0']);
    await running();
    raw.socket.end();
    expect(await raw.toEnd()).toBe('');
    expect(await gateway.newestOf(event)).toMatchObject({ status: 'cancelled' });
    await serves();
  });

  test('with a broken request behind it: the call is over like with one that hung up', async () => {
    await gateway.deploy(event, 'bash', ENDLESS);
    using raw = await call(['content-length: 0']);
    await running();
    raw.write('\0\0\0\r\n\r\n');
    expect(problemIn(await raw.toEnd())).toMatchObject({ status: 400 });
    expect(await gateway.newestOf(event)).toMatchObject({ status: 'cancelled' });
    await serves();
  });

  test('a hundred of them, in whatever phase they are: every slot comes back', async () => {
    await gateway.deploy(event, 'bash', SLOW);
    const calls = await Promise.all(Array.from({ length: 100 }, () => call(['content-length: 0'])));
    await queued(99);
    for (const raw of calls) raw[Symbol.dispose]();
    await queued(0);
    await gateway.newestOf(event, 100);
    const statuses = (await gateway.records(event)).map(({ status }) => status);
    expect(statuses).toEqual(Array.from({ length: 100 }, () => 'cancelled'));
    await serves();
    await gateway.idle();
  });
}

for (const name of ['bubblewrap', 'docker'] as const) {
  await onEngine(name, (engine) => {
    describe('a client that hangs up', () => suite(engine));
  });
}
