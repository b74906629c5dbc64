import {
  InvokeCommand,
  type InvokeCommandInput,
  type LambdaClient,
  type LambdaClientConfig,
} from '@aws-sdk/client-lambda';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RawEnd } from '../../src/core/invoke.ts';
import { type ErrorCode, GatewayError } from '../../src/errors.ts';
import { answer, type Harness } from './harness.ts';
import { LambdaDoor } from './lambda-door.ts';

let door: LambdaDoor;
let gateway: Harness;
beforeEach(async () => {
  door = await LambdaDoor.open(() => raw());
  gateway = door.gateway;
});
afterEach(() => door[Symbol.asyncDispose]());

function raw(end: Partial<RawEnd> = {}, body = '{"ok":true}') {
  return answer({ body: Buffer.from(body), raw: { failure: null, logs: '', logsTruncated: false, ...end } });
}

async function jwt(sub: string, scope?: string, ttlSeconds?: number): Promise<string> {
  return (await gateway.bearer(sub, scope, ttlSeconds)).authorization.slice('Bearer '.length);
}

/** As docs/api.md shows it. */
async function client(sub = 'alice', scope?: string, ttlSeconds?: number): Promise<LambdaClient> {
  const sessionToken = await jwt(sub, scope, ttlSeconds);
  return door.client({ credentials: { accessKeyId: 'cronium', secretAccessKey: 'unused', sessionToken } });
}

const ARN = 'arn:aws:lambda:eu-central-1:123456789012:function:hello:live';
const anonymous = { credentials: { accessKeyId: 'cronium', secretAccessKey: 'unused' } };

async function invoke(input: Partial<InvokeCommandInput> = {}, by?: LambdaClient) {
  const output = await (by ?? (await client())).send(new InvokeCommand({ FunctionName: 'hello', ...input }));
  const text = output.Payload?.transformToString() ?? '';
  return { ...output, json: text === '' ? undefined : (JSON.parse(text) as unknown) };
}

describe('the AWS SDK calls a function', () => {
  test('with its payload as the event, and gets what it returned', async () => {
    const output = await invoke({ Payload: JSON.stringify({ who: ['wörld', 1, null] }) });
    expect(output).toMatchObject({ StatusCode: 200, ExecutedVersion: '1', json: { ok: true } });
    expect(output.FunctionError).toBeUndefined();
    const [call] = gateway.calls;
    expect(call).toMatchObject({
      payload: { who: ['wörld', 1, null] },
      mode: 'raw',
      caller: { userId: 'alice' },
    });
    expect(output.$metadata.requestId).toBe(call?.id);
  });

  test('by an alias, as a qualifier or after its name', async () => {
    await gateway.send('PATCH', '/v1/events/hello', { code: 'two' });
    await gateway.send('PUT', '/v1/events/hello/aliases/live', { version: 1 });
    for (const how of [{ Qualifier: 'live' }, { FunctionName: 'hello:live' }, { FunctionName: ARN }]) {
      expect((await invoke(how)).ExecutedVersion).toBe('1');
    }
    expect((await invoke()).ExecutedVersion).toBe('2');
  });

  test('without waiting for it, and is told that it is stored', async () => {
    const output = await invoke({ InvocationType: 'Event', Payload: '{"who":"later"}' });
    expect(output).toMatchObject({ StatusCode: 202, json: undefined });
    expect(gateway.calls).toEqual([]);
    const [claimed] = await gateway.store.queue.claim('test:1', 1, 1_000);
    expect(claimed).toMatchObject({ id: output.$metadata.requestId, payload: { who: 'later' } });
  });

  test.each([
    [undefined, {}],
    ['', {}],
    ['null', null],
    ['42', 42],
    ['"text"', 'text'],
    ['[]', []],
  ])('with the payload %j', async (Payload, payload) => {
    await invoke(Payload === undefined ? {} : { Payload });
    expect(gateway.calls[0]?.payload).toEqual(payload);
  });

  test('and a value that HTTP would take for a response stays a value', async () => {
    gateway.answer = () => raw({}, '{"statusCode":404,"body":"x"}');
    expect(await invoke()).toMatchObject({ StatusCode: 200, json: { statusCode: 404, body: 'x' } });
  });

  test.each([
    'hello',
    'hello:$LATEST',
    'function:hello',
    '123456789012:function:hello',
    'arn:aws:lambda:eu-west-1:123456789012:function:hello',
    'arn:aws-cn:lambda:local:123456789012:function:hello:2',
  ])('by the name %s', async (FunctionName) => {
    await gateway.send('PATCH', '/v1/events/hello', { code: 'two' });
    expect(await invoke({ FunctionName })).toMatchObject({ ExecutedVersion: '2' });
  });

  test('by a version, in the name or as the qualifier, and by both when they agree', async () => {
    await gateway.send('PATCH', '/v1/events/hello', { code: 'two' });
    for (const input of [
      { FunctionName: 'hello:1' },
      { Qualifier: '1' },
      { FunctionName: 'hello:1', Qualifier: '1' },
    ]) {
      expect(await invoke(input)).toMatchObject({ ExecutedVersion: '1' });
    }
    expect(gateway.calls.map(({ event }) => event.current.version)).toEqual([1, 1, 1]);
    const torn = invoke({ FunctionName: 'hello:1', Qualifier: '2' });
    await expect(torn).rejects.toMatchObject({ name: 'InvalidParameterValueException' });
  });

  test('dry, and nothing runs', async () => {
    expect(await invoke({ InvocationType: 'DryRun' })).toMatchObject({
      StatusCode: 204,
      ExecutedVersion: '1',
    });
    const absent = invoke({ InvocationType: 'DryRun', FunctionName: 'nobody' });
    await expect(absent).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
    const bob = await client('bob');
    const refused = invoke({ InvocationType: 'DryRun' }, bob);
    await expect(refused).rejects.toMatchObject({ name: 'AccessDeniedException' });
    expect(gateway.calls).toHaveLength(0);
  });
});

describe('the token of an AWS client', () => {
  test('is the session token of its credentials', async () => {
    expect((await invoke({}, await client('alice', 'events:invoke'))).StatusCode).toBe(200);
    expect((await invoke({}, await client('bob', 'event:hello:invoke'))).StatusCode).toBe(200);
    expect(gateway.calls.map(({ caller }) => caller.userId)).toEqual(['alice', 'bob']);
  });

  test('or a bearer token, by a signer of one’s own', async () => {
    const token = await jwt('alice');
    const signer: NonNullable<LambdaClientConfig['signer']> = {
      sign: async (request) => {
        request.headers.authorization = `Bearer ${token}`;
        return request;
      },
    };
    expect((await invoke({}, door.client({ ...anonymous, signer }))).StatusCode).toBe(200);
  });

  test('or a header beside the signature', async () => {
    const token = await jwt('alice');
    const own = door.client(anonymous);
    own.middlewareStack.add(
      (next) => (args) => {
        (args.request as { headers: Record<string, string> }).headers['x-cronium-token'] = token;
        return next(args);
      },
      { step: 'build' },
    );
    expect((await invoke({}, own)).StatusCode).toBe(200);
  });

  test('is not needed for a public function, and not to be had from a signature alone', async () => {
    const by = door.client(anonymous);
    expect((await invoke({ FunctionName: 'open' }, by)).StatusCode).toBe(200);
    expect(gateway.calls[0]?.caller.userId).toBeNull();
    for (const FunctionName of ['hello', 'nobody']) {
      const refused = invoke({ FunctionName }, by);
      await expect(refused).rejects.toMatchObject({
        name: 'UnrecognizedClientException',
        message: expect.stringContaining('session token'),
        $metadata: { httpStatusCode: 403 },
      });
    }
  });

  test('is told to be bad, expired or not enough', async () => {
    const bad = door.client({ credentials: { ...anonymous.credentials, sessionToken: 'rubbish' } });
    await expect(invoke({}, bad)).rejects.toMatchObject({ name: 'UnrecognizedClientException' });
    const expired = await client('alice', undefined, -60);
    await expect(invoke({}, expired)).rejects.toMatchObject({ name: 'ExpiredTokenException' });
    const poor = await client('alice', 'events:read');
    await expect(invoke({}, poor)).rejects.toMatchObject({ name: 'AccessDeniedException' });
    expect(gateway.calls).toHaveLength(0);
  });
});

describe('a function that failed', () => {
  const failure = {
    code: 'function_error' as const,
    type: 'ValueError',
    message: 'the password is hunter2',
    trace: 'line 1\nline 2\n',
  };

  test('is an answer and no exception, with its trace for its owner', async () => {
    gateway.answer = () => raw({ failure }, '');
    const output = await invoke();
    expect(output).toMatchObject({ StatusCode: 200, FunctionError: 'Unhandled' });
    expect(output.json).toEqual({
      errorMessage: failure.message,
      errorType: 'ValueError',
      trace: ['line 1', 'line 2'],
    });
  });

  test('tells others only where its owner finds out', async () => {
    gateway.answer = () => raw({ failure, logs: 'hunter2\n' }, '');
    const bob = await client('bob', 'event:hello:invoke');
    const output = await invoke({ LogType: 'Tail' }, bob);
    expect(output.FunctionError).toBe('Unhandled');
    expect(JSON.stringify(output.json)).not.toContain('hunter2');
    expect(JSON.stringify(output.json)).toContain(gateway.calls[0]?.id);
    expect(output.LogResult).toBeUndefined();
  });

  test('by its time says so as Lambda does', async () => {
    await gateway.deploy({ name: 'slow', timeoutMs: 3_000 });
    gateway.answer = () => raw({ failure: { code: 'function_timeout', message: 'late' } }, '');
    const { json, FunctionError } = await invoke({ FunctionName: 'slow' });
    expect(FunctionError).toBe('Unhandled');
    expect(json).toEqual({
      errorType: 'Sandbox.Timedout',
      errorMessage: `2020-03-12T19:03:58.390Z ${gateway.calls[0]?.id} Task timed out after 3.00 seconds`,
    });
  });
});

describe('the log', () => {
  const logOf = ({ LogResult = '' }: { LogResult?: string | undefined }) =>
    Buffer.from(LogResult, 'base64').toString();

  test('comes when it is asked for, in Lambda’s format', async () => {
    gateway.answer = () => raw({ logs: 'one\ntwo' });
    expect((await invoke()).LogResult).toBeUndefined();
    const id = () => gateway.calls.at(-1)?.id;
    const log = logOf(await invoke({ LogType: 'Tail' }));
    expect(log).toBe(
      `START RequestId: ${id()} Version: 1\none\ntwo\nEND RequestId: ${id()}\n` +
        `REPORT RequestId: ${id()}\tDuration: 12.35 ms\tBilled Duration: 13 ms\tMemory Size: 512 MB\t\n`,
    );
  });

  test('is its last 4 KiB', async () => {
    gateway.answer = () => raw({ logs: `first\n${'x'.repeat(10_000)}\nlast\n` });
    const log = logOf(await invoke({ LogType: 'Tail' }));
    expect(Buffer.byteLength(log)).toBe(4_096);
    expect(log).toContain('last\nEND');
    expect(log).not.toContain('first');
  });
});

describe('what the gateway refuses', () => {
  test.each<[ErrorCode, string, number]>([
    ['too_many_requests', 'TooManyRequestsException', 429],
    ['no_capacity', 'ServiceException', 503],
    ['shutting_down', 'ServiceException', 503],
    ['internal_error', 'ServiceException', 500],
  ])('with %s is raised as %s', async (code, name, httpStatusCode) => {
    gateway.answer = () => {
      throw new GatewayError(code, 'why', { retryAfterSeconds: 1.5 });
    };
    const refused = invoke();
    await expect(refused).rejects.toMatchObject({ name, message: 'why', $metadata: { httpStatusCode } });
    if (httpStatusCode === 429) await expect(refused).rejects.toMatchObject({ retryAfterSeconds: '2' });
  });

  test.each<[string, Partial<InvokeCommandInput>, string, number]>([
    ['a function that is not there', { FunctionName: 'nobody' }, 'ResourceNotFoundException', 404],
    ['a version that is not there', { Qualifier: '9' }, 'ResourceNotFoundException', 404],
    ['an alias that is not there', { Qualifier: 'prod' }, 'ResourceNotFoundException', 404],
    ['a payload that is no JSON', { Payload: '{"a":' }, 'InvalidRequestContentException', 400],
    ['a payload that is no text', { Payload: new Uint8Array([0xff]) }, 'InvalidRequestContentException', 400],
    [
      'a payload that is too large',
      { Payload: JSON.stringify('x'.repeat(1_000)) },
      'RequestTooLargeException',
      413,
    ],
    ['a type that is none', { InvocationType: 'Never' as 'Event' }, 'InvalidParameterValueException', 400],
    ['a name that is none', { FunctionName: 'a b' }, 'InvalidParameterValueException', 400],
  ])('%s', async (_what, input, name, httpStatusCode) => {
    await expect(invoke(input)).rejects.toMatchObject({ name, $metadata: { httpStatusCode } });
    expect(gateway.calls).toHaveLength(0);
  });

  test('a function that is disabled', async () => {
    await gateway.deploy({ name: 'off', enabled: false });
    await expect(invoke({ FunctionName: 'off' })).rejects.toMatchObject({ name: 'AccessDeniedException' });
  });

  test('and what fails unexpectedly tells the caller nothing and the log everything', async () => {
    const failure = new Error('hunter2');
    gateway.answer = () => {
      throw failure;
    };
    await expect(invoke()).rejects.toMatchObject({
      name: 'ServiceException',
      message: expect.not.stringContaining('hunter2'),
    });
    expect(gateway.logged).toMatchObject([{ fields: { error: failure } }]);
  });
});
