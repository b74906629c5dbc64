import { beforeEach, describe, expect, test } from 'vitest';
import type { Outcome } from '../../src/core/sandbox.ts';
import { hangs, type Script, settle, succeedsWith } from './fakes.ts';
import { event, TestGateway } from './gateway.ts';

let gateway: TestGateway;
beforeEach(() => {
  gateway = new TestGateway();
});

const raw = (script: Script, secrets: Record<string, string> = {}) =>
  gateway.invoke(script, { mode: 'raw', event: event({ secrets }) });
const end = { exit: null, droppedLogBytes: 0 };
const text = (body: unknown) => Buffer.from(body as Uint8Array).toString();

const streams =
  (...chunks: string[]): Script =>
  async (_call, observer, signal) => {
    observer.injected();
    observer.head({ statusCode: 500, headers: { 'content-type': 'text/plain' }, cookies: ['a=1'] });
    for (const chunk of chunks) {
      await observer.data(Buffer.from(chunk));
      signal.throwIfAborted();
    }
    return { status: 'succeeded', ...end };
  };

describe('a call in raw mode', () => {
  test.for<[string, unknown]>([
    ['an object', { a: [1, null] }],
    ['text', 'hi'],
    ['nothing', null],
    ['what HTTP would take for a response', { statusCode: 404, body: 'x' }],
    ['what HTTP would refuse as a response', { statusCode: 'odd' }],
  ])('gives the value itself: %s', async ([, value]) => {
    const answer = await raw(succeedsWith(value));
    expect(JSON.parse(text(answer.body))).toEqual(value);
    expect(answer).toMatchObject({ statusCode: 200, raw: { failure: null, logs: '', logsTruncated: false } });
  });

  test('gives a stream whole, as the bytes that it is, without its status and headers', async () => {
    const answer = await raw(streams('one ', '', 'two'));
    expect(text(answer.body)).toBe('one two');
    expect(answer).toMatchObject({ statusCode: 200, cookies: [], raw: { failure: null } });
    expect(answer.headers).toEqual({ 'content-type': 'application/octet-stream' });
  });

  test('collects a thousand tiny chunks, and no more than a response may have', async () => {
    const whole = await raw(streams(...Array.from({ length: 1_000 }, () => 'x')));
    expect(text(whole.body)).toBe('x'.repeat(1_000));
    const over = await raw(streams('x'.repeat(1_000), 'x'));
    expect(over.raw?.failure).toMatchObject({ code: 'response_too_large' });
    expect(text(over.body)).toBe('');
  });

  test('answers with the failure of a function, its logs beside it and no secret in either', async () => {
    const answer = await raw(
      async (_call, observer): Promise<Outcome> => {
        observer.injected();
        observer.log(Buffer.from('got hush-hush\n'));
        const failure = {
          code: 'function_error' as const,
          type: 'ValueError',
          message: 'no hush-hush',
          trace: 'at hush-hush',
        };
        return { status: 'failed', failure, ...end, droppedLogBytes: 3 };
      },
      { TOKEN: 'hush-hush' },
    );
    expect(answer.raw).toEqual({
      failure: { code: 'function_error', type: 'ValueError', message: 'no ***', trace: 'at ***' },
      logs: 'got ***\n',
      logsTruncated: true,
    });
  });

  test('answers when the time of the function ran out, with what it had printed', async () => {
    const answering = raw((call, observer, signal) => {
      observer.log(Buffer.from('begun\n'));
      return hangs(call, observer, signal);
    });
    await settle();
    await gateway.clock.advance(1_000);
    const answer = await answering;
    expect(answer.raw).toMatchObject({ failure: { code: 'function_timeout' }, logs: 'begun\n' });
    expect(answer.phases.exec).toBe(1_000);
    await gateway.clock.advance(10);
    await settle();
    expect(gateway.records).toMatchObject([{ status: 'timed_out', statusCode: 200 }]);
  });

  test('rejects when it is the gateway that failed', async () => {
    const broken = raw(async () => {
      throw new Error('engine');
    });
    await expect(broken).rejects.toMatchObject({ code: 'internal_error' });
  });

  test('is not what a call over HTTP gets', async () => {
    const answer = await gateway.invoke(succeedsWith({ statusCode: 404, body: 'x' }));
    expect(answer.statusCode).toBe(404);
    expect(answer).not.toHaveProperty('raw');
  });
});
