import { expect, test } from 'vitest';
import { type EndedCall, keepingInvoker } from '../../../src/core/replays/keeping-invoker.ts';
import { isLarger, keptCall } from '../../../src/core/replays/kept-call.ts';
import { GatewayError } from '../../../src/errors.ts';
import { answer } from '../../http/harness.ts';
import { never } from '../fakes.ts';
import { event } from '../gateway.ts';

const request = (payload: unknown) => ({
  id: 'invocation-1',
  event: event(),
  caller: { userId: 'alice', tier: null },
  payload,
  forceCold: false,
});

const kept = (payload: unknown, changes: Parameters<typeof answer>[0] = {}, maxBytes = 100) =>
  keptCall({ request: request(payload), answer: answer(changes) }, maxBytes);

test('a call is kept with its answer, text as text and bytes as base64', () => {
  expect(kept({ a: 1 })).toEqual({
    id: 'invocation-1',
    payload: '{"a":1}',
    result: {
      statusCode: 200,
      headers: { 'content-type': 'application/json' },
      cookies: [],
      body: '{"ok":true}',
      isBase64Encoded: false,
    },
  });
  expect(kept(1, { body: Buffer.from([255, 0]) })?.result).toMatchObject({
    body: '/wA=',
    isBase64Encoded: true,
  });
});

test('what is too large is not kept, nor a stream, nor what failed', () => {
  expect(kept({ text: 'x'.repeat(101) })).toBeUndefined();
  expect(kept({ text: 'ü'.repeat(60) })).toBeUndefined();
  expect(kept(1, { body: Buffer.alloc(101) })).toEqual({
    id: 'invocation-1',
    payload: '1',
    result: undefined,
  });
  expect(kept(1, { body: new ReadableStream() })?.result).toBeUndefined();
  const failure = { code: 'function_error' as const, message: 'boom' };
  expect(kept(1, { raw: { failure, logs: '', logsTruncated: false } })?.result).toBeUndefined();
});

test('the value that the AWS SDK gets is kept as the function’s URL answers it', () => {
  const raw = { failure: null, logs: '', logsTruncated: false };
  const body = Buffer.from('{"statusCode":404,"body":"none"}');
  expect(kept(1, { raw, body })?.result).toMatchObject({ statusCode: 404, body: 'none' });
  expect(kept(1, { raw, body: Buffer.from('7') })?.result).toMatchObject({ statusCode: 200, body: '7' });
  expect(kept(1, { raw, body: Buffer.from('a stream') })?.result).toMatchObject({ body: 'a stream' });
});

test('the size of a payload is looked at no further than need be', () => {
  expect(isLarger('x'.repeat(100), 99)).toBe(true);
  expect(isLarger({ a: ['b', { c: null }] }, 100)).toBe(false);
  expect(
    isLarger(
      Array.from({ length: 101 }, () => 0),
      100,
    ),
  ).toBe(true);
});

test('calls that reached the function are handed on, those that did not are not', async () => {
  const calls: EndedCall[] = [];
  let fails: GatewayError | undefined;
  const invoker = keepingInvoker(
    {
      async invoke() {
        if (fails !== undefined) throw fails;
        return answer();
      },
    },
    (call) => calls.push(call),
  );
  await invoker.invoke(request(1), never);
  for (const code of ['function_error', 'too_many_requests'] as const) {
    fails = new GatewayError(code, 'no');
    await expect(invoker.invoke(request(2), never)).rejects.toThrow(fails);
  }
  expect(calls.map((call) => [call.request.payload, call.answer?.statusCode])).toEqual([
    [1, 200],
    [2, undefined],
  ]);
});
