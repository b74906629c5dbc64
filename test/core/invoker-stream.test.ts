import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Invocation } from '../../src/core/invocation.ts';
import type { CallObserver, Outcome } from '../../src/core/sandbox.ts';
import { hangs, type Script, settle, succeedsWith } from './fakes.ts';
import { NOTHING_LEFT, TestGateway } from './gateway.ts';

let gateway: TestGateway;

beforeEach(() => {
  gateway = new TestGateway();
});
afterEach(async () => {
  await gateway.clock.advance(10);
  await gateway.pools.close();
  expect(gateway.leftovers()).toEqual(NOTHING_LEFT);
});

const HEAD = { statusCode: 200, headers: { 'content-type': 'text/plain' }, cookies: [] };
const done: Outcome = { status: 'succeeded', exit: null, droppedLogBytes: 0 };
const broken: Outcome = {
  status: 'failed',
  failure: { code: 'function_error', message: 'it broke' },
  exit: null,
  droppedLogBytes: 0,
};

/** Starts a streamed call whose frames and end are the test's. */
async function streaming(signal?: AbortSignal) {
  const end = Promise.withResolvers<Outcome>();
  let sender: CallObserver | undefined;
  const response = await gateway.invoke(
    (_call, observer, aborted) => {
      sender = observer;
      observer.injected();
      observer.head(HEAD);
      aborted.addEventListener('abort', () => end.reject(aborted.reason), { once: true });
      return end.promise;
    },
    {},
    signal,
  );
  return { response, body: response.body as ReadableStream<Uint8Array>, sender: sender!, end };
}

describe('a streamed response', () => {
  test('is answered with its head before it ends', async () => {
    const { response, body, sender, end } = await streaming();
    expect(response).toMatchObject({ ...HEAD, phases: { inject: 0 } });
    expect(response.phases.exec).toBeUndefined();
    sender.data(Buffer.from('a'));
    sender.data(Buffer.from('b'));
    end.resolve(done);
    expect(await new Response(body).text()).toBe('ab');
    expect(await gateway.record()).toMatchObject({ status: 'succeeded', statusCode: 200 });
  });

  test('holds the function back while the client is behind', async () => {
    const { body, sender, end } = await streaming();
    const reader = body.getReader();
    const held = sender.data(new Uint8Array(300 * 1_024));
    let released = false;
    held?.then(() => {
      released = true;
    });
    await settle();
    expect([held, released]).toEqual([expect.any(Promise), false]);
    await reader.read();
    await held;
    end.resolve(done);
    expect(await reader.read()).toMatchObject({ done: true });
  });

  test('that the function breaks off is an error to the client, and kept as failed', async () => {
    const { body, sender, end } = await streaming();
    sender.data(Buffer.from('a'));
    end.resolve(broken);
    await expect(new Response(body).text()).rejects.toMatchObject({ code: 'function_error' });
    expect(await gateway.record()).toMatchObject({ status: 'failed', statusCode: 200 });
  });

  test('that takes too long is an error to the client, and kept as timed out', async () => {
    const { body } = await streaming();
    const reading = expect(new Response(body).text()).rejects.toMatchObject({ code: 'function_timeout' });
    await gateway.clock.advance(1_000);
    await reading;
    expect(await gateway.record()).toMatchObject({ status: 'timed_out' });
  });

  test('held back by a client that never reads ends with its time', async () => {
    const { sender } = await streaming();
    const held = sender.data(new Uint8Array(300 * 1_024));
    await gateway.clock.advance(1_000);
    await held;
    expect(await gateway.record()).toMatchObject({ status: 'timed_out' });
  });

  test('that the client does not want any more ends the function', async () => {
    const { body, sender } = await streaming();
    sender.data(Buffer.from('a'));
    await body.cancel();
    expect(await gateway.record()).toMatchObject({ status: 'cancelled', statusCode: 200 });
    expect(gateway.backend.sandboxes[0]!.destroyed).toBe(1);
  });
});

describe('a client that is gone', () => {
  test('before its turn leaves the queue', async () => {
    const busy = new TestGateway({ maxRunning: 1 });
    const first = expect(busy.invoke(hangs)).rejects.toMatchObject({ code: 'function_timeout' });
    const client = new AbortController();
    const second = expect(busy.invoke(hangs, {}, client.signal)).rejects.toMatchObject({
      code: 'client_closed',
    });
    await settle();
    client.abort();
    await second;
    expect(busy.admission.queued).toBe(0);
    await busy.clock.advance(1_010);
    await first;
    expect(busy.records.map(({ status }) => status)).toEqual(['cancelled', 'timed_out']);
    expect(busy.backend.sandboxes).toHaveLength(1);
    await busy.pools.close();
    expect(busy.leftovers()).toEqual(NOTHING_LEFT);
  });

  test('before its sandbox has booted takes none', async () => {
    gateway.backend.auto = false;
    const client = new AbortController();
    const call = expect(gateway.invoke(hangs, {}, client.signal)).rejects.toMatchObject({
      code: 'client_closed',
      status: 499,
    });
    await settle();
    client.abort();
    await call;
    expect(await gateway.record()).toMatchObject({ status: 'cancelled', start: null, isolation: null });
    const sandbox = gateway.backend.boots[0]!.succeed();
    await gateway.clock.advance(10);
    expect([sandbox.runs, sandbox.destroyed]).toEqual([0, 1]);
  });

  test('while the function runs ends it', async () => {
    const client = new AbortController();
    const call = expect(gateway.invoke(hangs, {}, client.signal)).rejects.toMatchObject({
      code: 'client_closed',
    });
    await settle();
    client.abort();
    await call;
    expect(await gateway.record()).toMatchObject({ status: 'cancelled', statusCode: 499 });
    expect(gateway.backend.sandboxes[0]!.destroyed).toBe(1);
  });

  test('in the middle of a stream ends it', async () => {
    const client = new AbortController();
    const { body } = await streaming(client.signal);
    const reading = expect(new Response(body).text()).rejects.toMatchObject({ code: 'client_closed' });
    client.abort();
    await reading;
    expect(await gateway.record()).toMatchObject({ status: 'cancelled' });
  });

  test('before it began starts nothing', async () => {
    await expect(gateway.invoke(hangs, {}, AbortSignal.abort())).rejects.toMatchObject({
      code: 'client_closed',
    });
    expect(await gateway.record()).toMatchObject({ status: 'cancelled' });
    expect(gateway.backend.sandboxes).toHaveLength(0);
  });

  test('when it has its answer changes nothing', async () => {
    const client = new AbortController();
    await gateway.invoke(succeedsWith(1), {}, client.signal);
    client.abort();
    expect(await gateway.record()).toMatchObject({ status: 'succeeded' });
  });
});

describe('a streamed response that is to be kept whole, and is too large for that', () => {
  /** A call from the queue; its record goes to whoever asks for it. */
  function durable(script: Script) {
    const ended = Promise.withResolvers<Invocation>();
    const request = { attempt: 1, failures: 0, began: () => {}, ended: ended.resolve };
    return { answer: gateway.invoke(script, { durable: request }), record: ended.promise };
  }

  test('is an error, and its record too, when the function has ended with it', async () => {
    const { answer, record } = durable(async (_call, observer) => {
      observer.injected();
      observer.head(HEAD);
      observer.data(new Uint8Array(1_001));
      return done;
    });
    await expect(answer).rejects.toMatchObject({ code: 'response_too_large' });
    await gateway.clock.advance(10);
    expect(await record).toMatchObject({ status: 'failed', error: { code: 'response_too_large' } });
  });

  test('ends the function that goes on', async () => {
    const { answer, record } = durable((_call, observer, aborted) => {
      observer.injected();
      observer.head(HEAD);
      setImmediate(() => {
        observer.data(new Uint8Array(600));
        observer.data(new Uint8Array(600));
      });
      return new Promise((_, reject) => aborted.addEventListener('abort', () => reject(aborted.reason)));
    });
    const body = (await answer).body as ReadableStream<Uint8Array>;
    await expect(new Response(body).text()).rejects.toMatchObject({ code: 'response_too_large' });
    await gateway.clock.advance(10);
    expect(await record).toMatchObject({ status: 'failed', error: { code: 'response_too_large' } });
  });

  test('is no matter to a client that takes it as it comes', async () => {
    const response = await gateway.invoke(async (_call, observer) => {
      observer.injected();
      observer.head(HEAD);
      observer.data(new Uint8Array(1_001));
      return done;
    });
    expect(response.body).toHaveLength(1_001);
  });
});
