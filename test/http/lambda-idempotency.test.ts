import { InvokeCommand, type InvokeCommandInput, type LambdaClient } from '@aws-sdk/client-lambda';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { RawEnd } from '../../src/core/invoke.ts';
import { answer, type Harness } from './harness.ts';
import { LambdaDoor } from './lambda-door.ts';

let door: LambdaDoor;
let gateway: Harness;
beforeEach(async () => {
  door = await LambdaDoor.open(() => raw());
  gateway = door.gateway;
});
afterEach(() => door[Symbol.asyncDispose]());

let count = 0;
/** Another answer each time. */
function raw(end: Partial<RawEnd> = {}) {
  count += 1;
  const body = end.failure ? '' : `{"answer":${count}}`;
  const ended = { failure: null, logs: `said ${count}\n`, logsTruncated: false, ...end };
  return answer({ body: Buffer.from(body), raw: ended });
}

interface By {
  /** Nobody when not given. */
  sub?: string;
  key?: string;
}

/** As docs/api.md says: the SDK has no parameter for the header, and a middleware sets it. */
async function clientOf({ sub, key = 'k-1' }: By): Promise<LambdaClient> {
  const token = sub && (await gateway.bearer(sub, 'events:invoke event:hello:invoke')).authorization;
  const sessionToken = token?.slice('Bearer '.length);
  const credentials = {
    accessKeyId: 'cronium',
    secretAccessKey: 'unused',
    ...(sessionToken && { sessionToken }),
  };
  const lambda = door.client({ credentials });
  lambda.middlewareStack.add(
    (next) => (args) => {
      (args.request as { headers: Record<string, string> }).headers['idempotency-key'] = key;
      return next(args);
    },
    { step: 'build' },
  );
  return lambda;
}

async function invoke(input: Partial<InvokeCommandInput> = {}, by: By = { sub: 'alice' }) {
  const lambda = await clientOf(by);
  let replayed: string | undefined;
  lambda.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      replayed = (result.response as { headers: Record<string, string> }).headers['idempotent-replayed'];
      return result;
    },
    { step: 'deserialize' },
  );
  const { Payload, LogResult, FunctionError, ExecutedVersion, $metadata } = await lambda.send(
    new InvokeCommand({ FunctionName: 'hello', Payload: '{"who":1}', ...input }),
  );
  const text = Payload?.transformToString();
  const { requestId, httpStatusCode } = $metadata;
  const got = { text, LogResult, FunctionError, ExecutedVersion, requestId, httpStatusCode };
  return { got, replayed };
}

test('the second request with a key gets the first answer, with its log, id and version', async () => {
  const first = await invoke({ LogType: 'Tail' });
  await gateway.send('PATCH', '/v1/events/hello', { code: 'two' });
  const second = await invoke({ LogType: 'Tail' });
  expect(second.got).toEqual(first.got);
  expect(first.got).toMatchObject({ ExecutedVersion: '1', LogResult: expect.any(String) });
  expect([first.replayed, second.replayed]).toEqual([undefined, 'true']);
  expect(gateway.calls).toHaveLength(1);
});

test('a function that failed is not run again, and fails again in the same words', async () => {
  const failure = { code: 'function_error', message: 'no', type: 'ValueError', trace: 'here' } as const;
  gateway.answer = () => raw({ failure });
  const first = await invoke();
  expect(first.got).toMatchObject({
    FunctionError: 'Unhandled',
    text: expect.stringContaining('ValueError'),
  });
  expect((await invoke()).got).toEqual(first.got);
  gateway.answer = () => raw({ failure: { code: 'function_timeout', message: 'late' } });
  const late = await invoke({}, { sub: 'alice', key: 'k-2' });
  expect(late.got.text).toContain('Task timed out after 30.00 seconds');
  expect((await invoke({}, { sub: 'alice', key: 'k-2' })).got).toEqual(late.got);
  expect(gateway.calls).toHaveLength(2);
});

test('a call that is not waited for is stored once', async () => {
  const [first, second] = [
    await invoke({ InvocationType: 'Event' }),
    await invoke({ InvocationType: 'Event' }),
  ];
  expect(first.got).toMatchObject({ httpStatusCode: 202, requestId: gateway.enqueued[0]?.id });
  expect(second).toEqual({ got: first.got, replayed: 'true' });
  expect(gateway.enqueued).toHaveLength(1);
});

test('another request with the key is refused, at the function’s URL too, and a key that is none', async () => {
  await invoke();
  const mismatch = {
    name: 'InvalidParameterValueException',
    message: expect.stringContaining('another request'),
  };
  for (const other of [{ Payload: '{}' }, { Qualifier: '1' }, { InvocationType: 'Event' as const }])
    await expect(invoke(other)).rejects.toMatchObject(mismatch);
  const headers = { ...(await gateway.bearer('alice')), 'idempotency-key': 'k-1' };
  const atUrl = await gateway.app.request('/e/hello', { method: 'POST', headers, body: '{"who":1}' });
  expect(atUrl.status).toBe(422);
  await expect(invoke({}, { sub: 'alice', key: 'a, b' })).rejects.toThrow('Idempotency-Key must be');
  expect(gateway.calls).toHaveLength(1);
  expect((await invoke({}, { sub: 'bob' })).replayed).toBeUndefined();
});

test('who asks while the first runs is told to come again', async () => {
  const begun = Promise.withResolvers<void>();
  const { promise, resolve } = Promise.withResolvers<void>();
  gateway.answer = async () => {
    begun.resolve();
    await promise;
    return raw();
  };
  const first = invoke();
  await begun.promise;
  await expect(invoke()).rejects.toMatchObject({
    name: 'ResourceConflictException',
    $metadata: { httpStatusCode: 409 },
  });
  resolve();
  await first;
  expect((await invoke()).got).toEqual((await first).got);
});

test('those who are nobody share an answer to the same payload, however the SDK signs its tries', async () => {
  const by = { key: 'k-1' };
  const first = await invoke({ FunctionName: 'open' }, by);
  expect(await invoke({ FunctionName: 'open' }, by)).toEqual({ got: first.got, replayed: 'true' });
  expect((await invoke({ FunctionName: 'open', Payload: '{}' }, by)).replayed).toBeUndefined();
  expect(gateway.calls).toHaveLength(2);
});
