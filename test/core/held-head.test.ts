import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Outcome } from '../../src/core/sandbox.ts';
import { NOTHING_LEFT, TestGateway } from './gateway.ts';

const HEAD = { statusCode: 201, headers: { 'content-type': 'text/plain' }, cookies: [] };
const done: Outcome = { status: 'succeeded', exit: null, droppedLogBytes: 0 };
let gateway: TestGateway;

beforeEach(() => {
  gateway = new TestGateway();
});
afterEach(async () => {
  await gateway.clock.advance(10);
  await gateway.pools.close();
  expect(gateway.leftovers()).toEqual(NOTHING_LEFT);
});

test('a stream that is over as it begins is answered whole', async () => {
  const { statusCode, body } = await gateway.invoke(async (_call, observer) => {
    observer.injected();
    observer.head(HEAD);
    observer.data(Buffer.from('all '));
    observer.data(Buffer.from('of it'));
    return done;
  });
  expect(statusCode).toBe(201);
  expect(Buffer.from(body as Uint8Array).toString()).toBe('all of it');
});

test('a stream that has failed as it begins is answered with the error', async () => {
  const call = gateway.invoke(async (_call, observer) => {
    observer.injected();
    observer.head(HEAD);
    observer.data(Buffer.from('some'));
    const failure = { code: 'function_error' as const, message: 'it broke' };
    return { status: 'failed', failure, exit: null, droppedLogBytes: 0 };
  });
  await expect(call).rejects.toMatchObject({ code: 'function_error' });
});
