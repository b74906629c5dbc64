import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { EventAuth } from '../../src/core/event.ts';
import type { Call, Outcome } from '../../src/core/sandbox.ts';
import { hangs, never, type Script, settle, succeedsWith } from './fakes.ts';
import { event, NOTHING_LEFT, TestGateway } from './gateway.ts';

let gateway: TestGateway;

beforeEach(() => {
  gateway = new TestGateway();
});
afterEach(async () => {
  await gateway.clock.advance(10);
  await gateway.pools.close();
  expect(gateway.leftovers()).toEqual(NOTHING_LEFT);
});

function failure(over: Partial<Extract<Outcome, { status: 'failed' }>['failure']> = {}): Outcome {
  return {
    status: 'failed',
    failure: { code: 'function_error', message: 'it broke', ...over },
    exit: { code: 1, signal: null },
    droppedLogBytes: 0,
  };
}

describe('a call that succeeds', () => {
  test('is answered with what the function returned, and kept with its phases', async () => {
    const answer = await gateway.invoke(async (call, observer, signal) => {
      observer.log(Buffer.from('printed'));
      await gateway.clock.advance(7);
      return succeedsWith({ statusCode: 201, body: 'made' })(call, observer, signal);
    });
    expect(answer).toMatchObject({
      statusCode: 201,
      invocationId: 'invocation-1',
      start: 'cold',
      isolation: 'fake',
      phases: { admit: 0, acquire: 0, inject: 7, exec: 0 },
    });
    expect(answer.body).toEqual(Buffer.from('made'));
    expect(await gateway.record()).toMatchObject({
      id: 'invocation-1',
      eventVersion: 3,
      ownerId: 'owner',
      callerId: 'alice',
      status: 'succeeded',
      statusCode: 201,
      logs: 'printed',
      logsTruncated: false,
      error: null,
      phases: { admit: 0, acquire: 0, inject: 7, exec: 0, destroy: expect.any(Number) },
      endedAt: expect.any(Date),
    });
  });

  test('hands the function its code, settings and names, and secrets over settings', async () => {
    let seen: Call | undefined;
    const request = {
      event: event({ env: { MODE: 'test', KEY: 'public' }, secrets: { KEY: 'hunter2' } }),
      traceparent: '00-trace',
    };
    await gateway.invoke((call, observer, signal) => {
      seen = call;
      return succeedsWith(1)(call, observer, signal);
    }, request);
    expect(seen).toMatchObject({
      functionName: 'hello',
      functionVersion: 3,
      memoryMb: 128,
      env: {
        MODE: 'test',
        KEY: 'hunter2',
        CRONIUM_EVENT_ID: 'event-id',
        CRONIUM_USER_ID: 'alice',
        CRONIUM_EXECUTION_ID: 'invocation-1',
        _TRACEPARENT: '00-trace',
      },
    });
  });

  test('shows as queued, then running, then no more', async () => {
    gateway.backend.auto = false;
    const call = gateway.invoke(hangs);
    await settle();
    expect(gateway.invoker.inFlight('invocation-1')).toMatchObject({ status: 'queued', start: null });
    gateway.backend.boots[0]!.succeed();
    await settle();
    expect(gateway.invoker.inFlight('invocation-1')).toMatchObject({ status: 'running', start: 'cold' });
    const refused = expect(call).rejects.toMatchObject({ code: 'function_timeout' });
    await gateway.clock.advance(1_000);
    await refused;
    await gateway.record();
    expect(gateway.invoker.inFlight('invocation-1')).toBeUndefined();
  });

  test('frees its place before its sandbox is gone, and is recorded after', async () => {
    const gate = Promise.withResolvers<void>();
    gateway.backend.destroyGate = gate.promise;
    await gateway.invoke(succeedsWith(1));
    await gateway.clock.advance(10);
    expect(gateway.admission.running).toBe(0);
    expect(gateway.records).toEqual([]);
    gate.resolve();
    expect(await gateway.record()).toMatchObject({ status: 'succeeded' });
  });

  test('is kept though its sandbox cannot be destroyed', async () => {
    gateway.backend.destroyFails = true;
    await gateway.invoke(succeedsWith(1));
    expect(await gateway.record()).toMatchObject({ status: 'succeeded' });
    expect(gateway.engineErrors).toHaveLength(1);
  });
});

describe('a function that fails', () => {
  test.for([
    ['function_error', 502],
    ['out_of_memory', 502],
    ['invalid_response', 502],
    ['response_too_large', 502],
  ] as const)('with %s is answered so and kept with its trace', async ([code, statusCode]) => {
    const call = gateway.invoke(async () => failure({ code, type: 'Error', trace: 'at line 1' }));
    await expect(call).rejects.toMatchObject({ code, status: statusCode, invocationId: 'invocation-1' });
    expect(await gateway.record()).toMatchObject({
      status: 'failed',
      statusCode,
      exit: { code: 1, signal: null },
      error: { code, message: 'it broke', trace: 'at line 1' },
    });
  });

  test('says its secrets to nobody: not in logs, message or trace, and not to its caller', async () => {
    const secrets = { KEY: 'hunter2' };
    const call = gateway.invoke(
      async (_call, observer) => {
        observer.log(Buffer.from('the key is hun'));
        observer.log(Buffer.from('ter2'));
        return failure({ message: 'bad key hunter2', trace: 'at f("hunter2")' });
      },
      { event: event({ secrets }) },
    );
    await expect(call).rejects.toThrow(/^bad key \*\*\*$/);
    const record = await gateway.record();
    expect(record).toMatchObject({
      logs: 'the key is ***',
      error: { message: 'bad key ***', trace: 'at f("***")' },
    });
    expect(JSON.stringify(record)).not.toContain('hunter2');
  });

  test('says the secrets of a webhook to nobody either, with their mark or without', async () => {
    const auth: EventAuth = {
      type: 'webhook',
      scheme: 'standard',
      secrets: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
      toleranceSeconds: 300,
      dedupSeconds: 60,
      respond: 'async',
    };
    const prints: Script = async (call, observer, signal) => {
      observer.log(
        Buffer.from('a whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw b MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw c'),
      );
      return succeedsWith(1)(call, observer, signal);
    };
    await gateway.invoke(prints, { event: { ...event(), auth } });
    expect((await gateway.record()).logs).toBe('a *** b *** c');
  });

  test('says no secret in a response that is none', async () => {
    const value = { statusCode: 200, headers: { 'x-hunter2': {} } };
    const call = gateway.invoke(succeedsWith(value), { event: event({ secrets: { KEY: 'hunter2' } }) });
    const error = await call.catch((refused: unknown) => refused);
    expect(error).toMatchObject({ code: 'invalid_response' });
    expect((error as Error).message).toContain('headers.x-***');
  });

  test('with a response that is none has failed, and drops count still', async () => {
    const call = gateway.invoke(async () => ({
      status: 'succeeded',
      result: { value: { statusCode: 'ok' }, json: Buffer.from('{"statusCode":"ok"}') },
      exit: null,
      droppedLogBytes: 5,
    }));
    await expect(call).rejects.toMatchObject({ code: 'invalid_response', invocationId: 'invocation-1' });
    expect(await gateway.record()).toMatchObject({
      status: 'failed',
      statusCode: 502,
      logsTruncated: true,
      error: { code: 'invalid_response' },
    });
  });

  test('by hanging is ended when its time is up', async () => {
    const call = expect(gateway.invoke(hangs)).rejects.toMatchObject({
      code: 'function_timeout',
      status: 504,
      invocationId: 'invocation-1',
    });
    await gateway.clock.advance(999);
    expect(gateway.records).toEqual([]);
    await gateway.clock.advance(1);
    await call;
    expect(await gateway.record()).toMatchObject({ status: 'timed_out', statusCode: 504 });
  });

  test("in the gateway's own code says nothing of it to the caller, and all to the operator", async () => {
    const call = gateway.invoke(async () => {
      throw new Error('internals');
    });
    await expect(call).rejects.toMatchObject({
      code: 'internal_error',
      message: 'The gateway failed to run the function.',
    });
    await gateway.record();
    expect(gateway.engineErrors).toEqual([new Error('internals')]);
  });
});

describe('a call without a sandbox', () => {
  test('is refused when none is free in time, and says when to come again', async () => {
    gateway.backend.auto = false;
    const call = expect(gateway.invoke(hangs)).rejects.toMatchObject({
      code: 'no_capacity',
      retryAfterSeconds: 1,
      invocationId: 'invocation-1',
    });
    await gateway.clock.advance(500);
    await call;
    expect(await gateway.record()).toMatchObject({ status: 'failed', statusCode: 503, start: null });
    gateway.backend.boots[0]!.succeed();
  });

  test('is refused with the reason when the engine is the reason', async () => {
    gateway.backend.auto = false;
    const call = expect(gateway.invoke(hangs)).rejects.toMatchObject({
      code: 'engine_unavailable',
      message: 'no engine',
      retryAfterSeconds: 1,
    });
    await settle();
    gateway.backend.boots[0]!.fail();
    await gateway.clock.advance(500);
    await call;
    await gateway.record();
    gateway.backend.boots[0]?.succeed();
  });

  test('waits for a turn and a sandbox within one time', async () => {
    const busy = new TestGateway({ maxRunning: 1 });
    const first = expect(busy.invoke(hangs)).rejects.toMatchObject({ code: 'function_timeout' });
    await busy.clock.advance(300);
    const second = expect(busy.invoke(hangs)).rejects.toMatchObject({ code: 'no_capacity' });
    await busy.clock.advance(700);
    await Promise.all([first, second]);
    await busy.clock.advance(10);
    expect(busy.records.map(({ status }) => status).sort()).toEqual(['failed', 'timed_out']);
    await busy.pools.close();
    expect(busy.leftovers()).toEqual(NOTHING_LEFT);
  });
});

describe('closing', () => {
  test('waits for those that run, then ends them, and takes no more', async () => {
    const call = expect(
      gateway.invoke(hangs, { event: event({ limits: { timeoutMs: 60_000, memoryMb: 128, cpus: 1 } }) }),
    ).rejects.toMatchObject({ code: 'shutting_down' });
    await settle();
    let closed = false;
    const closing = gateway.invoker.close(3_000).then(() => {
      closed = true;
    });
    await expect(gateway.invoke(hangs)).rejects.toMatchObject({
      code: 'shutting_down',
      retryAfterSeconds: 5,
    });
    await gateway.clock.advance(2_999);
    expect(closed).toBe(false);
    await gateway.clock.advance(10);
    await Promise.all([call, closing]);
    expect(await gateway.record()).toMatchObject({ status: 'cancelled', error: { code: 'shutting_down' } });
  });

  test('does not wait longer than the calls do', async () => {
    const call = gateway.invoke(async (made, observer) => {
      await new Promise<void>((resolve) => gateway.clock.after(100, resolve));
      return succeedsWith(1)(made, observer, never);
    });
    await settle();
    const closing = gateway.invoker.close(60_000);
    await gateway.clock.advance(150);
    await Promise.all([call, closing]);
    expect(await gateway.record()).toMatchObject({ status: 'succeeded' });
  });

  test('at rest is done at once', async () => {
    await gateway.invoker.close(60_000);
  });
});
