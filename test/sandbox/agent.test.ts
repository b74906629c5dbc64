import { describe, expect, test } from 'vitest';
import { encodeFrame, encodeJsonFrame, FrameType } from '../../src/sandbox/frames.ts';
import { data, END, HEAD, log, never, Peer, READY, result, settle } from './peer.ts';

const ready = (message: unknown) => encodeJsonFrame(FrameType.ready, message);
const violation = (message: string | RegExp) => ({
  status: 'failed',
  failure: { code: 'invalid_response', message: expect.stringMatching(message) },
});

const headWith = (head: object) => encodeJsonFrame(FrameType.head, { statusCode: 200, ...head });

describe('the greeting', () => {
  test('is answered once', async () => {
    const peer = await Peer.warm();
    expect(Buffer.concat(peer.received).subarray(5).toString()).toBe('{"protocol":1}');
    expect(peer.channel.destroyed).toBe(false);
  });

  test.for<[string, Uint8Array]>([
    ['another runtime', ready({ protocol: 1, runtime: 'bash' })],
    ['another protocol', ready({ protocol: 2, runtime: 'python' })],
    ['no object', ready('python')],
    ['no JSON', encodeFrame(FrameType.ready, Buffer.from('{'))],
    ['another frame', END],
    ['a type that nobody knows', encodeFrame(0x90 as FrameType, Buffer.alloc(0))],
    ['a greeting that is too long', ready({ protocol: 1, runtime: 'python', x: 'x'.repeat(4_096) })],
    ['something that is no frame', Buffer.from('Traceback (most recent call last)')],
  ])('answered with %s ends the sandbox', async ([, bytes]) => {
    const peer = new Peer();
    const greeted = peer.connection.handshake('python', never);
    peer.send(bytes);
    await expect(greeted).rejects.toMatchObject({ name: 'ProtocolViolation' });
    expect(peer.channel.destroyed).toBe(true);
  });

  test('is given up on when the channel closes or the time is up', async () => {
    const closes = new Peer();
    const greeted = closes.connection.handshake('python', never);
    closes.agent.end();
    await expect(greeted).rejects.toMatchObject({ name: 'ChannelClosed' });
    const late = new AbortController();
    const waits = new Peer().connection.handshake('python', late.signal);
    late.abort(new Error('late'));
    await expect(waits).rejects.toThrow('late');
  });
});

describe('a warm agent', () => {
  test.for<[string, Uint8Array]>([
    ['a frame', log('hello')],
    ['READY again', READY],
    ['half a frame', log('hello').subarray(0, 7)],
    ['a single byte', Uint8Array.of(0)],
  ])('that says %s is gone', async ([, bytes]) => {
    const peer = await Peer.warm();
    peer.send(bytes);
    await settle();
    expect(peer.channel.destroyed).toBe(true);
    expect(await peer.run()).toMatchObject(violation('nobody waits for'));
  });

  test('that said more than READY at once is gone', async () => {
    const peer = new Peer();
    const greeted = peer.connection.handshake('python', never);
    peer.send(READY, log('x'));
    await greeted;
    expect(peer.channel.destroyed).toBe(true);
  });

  test('that died fails the call', async () => {
    const peer = await Peer.warm();
    peer.agent.destroy();
    await settle();
    expect(await peer.run()).toMatchObject({
      failure: { code: 'function_error', message: 'The sandbox ended before the function answered.' },
    });
  });
});

describe('a call', () => {
  test('is handed over whole and answered', async () => {
    const peer = await Peer.warm();
    expect(await peer.answered(log('a'), result('{"a":1}'), log('b'), END)).toEqual({
      status: 'succeeded',
      result: { value: { a: 1 }, json: Buffer.from('{"a":1}') },
      exit: null,
      droppedLogBytes: 0,
    });
    expect(peer.listener.heard).toEqual(['injected', 'log a', 'log b']);
    const invoke = JSON.parse(
      Buffer.concat(peer.received)
        .subarray(5 + 14 + 5)
        .toString(),
    );
    expect(invoke).toMatchObject({ runtime: 'python', invocationId: 'id', functionVersion: '1' });
  });

  test('without a response is answered with null', async () => {
    const peer = await Peer.warm();
    expect(await peer.answered(END)).toMatchObject({ status: 'succeeded', result: { value: null } });
  });

  test('is streamed, its header names in lower case', async () => {
    const peer = await Peer.warm();
    const head = encodeJsonFrame(FrameType.head, { statusCode: 201, headers: { 'X-A': 1 } });
    const outcome = await peer.answered(head, data('a'), data('b'), END);
    expect(outcome).toEqual({ status: 'succeeded', exit: null, droppedLogBytes: 0 });
    expect(peer.listener.heard.slice(1)).toEqual(['head 201 {"x-a":"1"}', 'data a', 'data b']);
  });

  test('tells how the function failed, cut to its bounds', async () => {
    const peer = await Peer.warm();
    const end = encodeJsonFrame(FrameType.end, {
      status: 'error',
      error: { code: 'function_error', type: 'E', message: 'm'.repeat(10_000), trace: 't' },
      exit: { code: null, signal: 'SIGKILL' },
      droppedLogBytes: 7,
    });
    expect(await peer.answered(end)).toEqual({
      status: 'failed',
      failure: { code: 'function_error', type: 'E', message: 'm'.repeat(8_192), trace: 't' },
      exit: { code: null, signal: 'SIGKILL' },
      droppedLogBytes: 7,
    });
  });

  test('is heard though its last frame comes byte by byte', async () => {
    const peer = await Peer.warm();
    const outcome = peer.run();
    for (const byte of Buffer.concat([result('42'), END])) {
      peer.send(Uint8Array.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await outcome).toMatchObject({ result: { value: 42 } });
  });

  test.for<[string, Uint8Array[]]>([
    ['a second END', [END, END]],
    ['bytes after END', [END, Uint8Array.of(1)]],
  ])('that has ended is not changed by %s', async ([, frames]) => {
    const peer = await Peer.warm();
    expect(await peer.answered(result('1'), ...frames)).toMatchObject({ result: { value: 1 } });
    expect(peer.channel.destroyed).toBe(true);
  });

  test('over the limit of the protocol is not sent', async () => {
    const peer = await Peer.warm();
    await expect(peer.run({ code: 'x'.repeat(65 * 2 ** 20) })).rejects.toThrow(RangeError);
  });
});

describe('a hostile agent', () => {
  const deep = `${'['.repeat(1e6)}${']'.repeat(1e6)}`;
  test.for<[string, Uint8Array[], RegExp]>([
    ['READY during a call', [READY], /READY came twice/],
    ['RESULT, then HEAD', [result('1'), HEAD], /HEAD after a response/],
    ['HEAD, then RESULT', [HEAD, result('1')], /RESULT after a response/],
    ['two RESULTs', [result('1'), result('1')], /RESULT after a response/],
    ['two HEADs', [HEAD, HEAD], /HEAD after a response/],
    ['DATA before HEAD', [data('x')], /DATA before HEAD/],
    ['an unknown type', [encodeFrame(0x99 as FrameType, Buffer.alloc(0))], /unknown type/],
    ['a frame of the gateway', [encodeFrame(FrameType.invoke, Buffer.alloc(0))], /unknown type/],
    ['more log than allowed', [log('x'.repeat(600)), log('x'.repeat(600))], /more log/],
    ['a longer stream than allowed', [HEAD, data('x'.repeat(600)), data('x'.repeat(600))], /larger stream/],
    ['RESULT that is no JSON', [result('nope')], /not JSON/],
    ['RESULT that is no UTF-8', [result(Buffer.from([0x22, 0xff, 0x22]))], /not UTF-8/],
    ['an empty RESULT', [result('')], /not JSON/],
    ['HEAD with a name that is none', [headWith({ headers: { 'a b': '1' } })], /"a b" is not the name/],
    [
      'HEAD with a header that would be two',
      [headWith({ headers: { a: '1\r\nb: 2' } })],
      /the value of the header a/,
    ],
    [
      'HEAD with a cookie that would be two',
      [headWith({ cookies: ['a=1\nb: 2'] })],
      /a cookie has characters/,
    ],
    ['HEAD with an informational status', [headWith({ statusCode: 101 })], /HEAD is not valid: statusCode/],
    ['HEAD that is no object', [encodeJsonFrame(FrameType.head, 1)], /HEAD is not valid/],
    ['a status that is none', [encodeJsonFrame(FrameType.head, { statusCode: 99 })], /statusCode/],
    ['END without a status', [encodeJsonFrame(FrameType.end, {})], /END is not valid/],
    [
      'END with a code of its own',
      [encodeJsonFrame(FrameType.end, { status: 'error', error: { code: 'shutting_down', message: '' } })],
      /error.code/,
    ],
    [
      'END with a log of less than nothing',
      [encodeJsonFrame(FrameType.end, { status: 'ok', droppedLogBytes: -1 })],
      /dropped/,
    ],
    [
      'END that is nested without end',
      [encodeFrame(FrameType.end, Buffer.from(deep.slice(999_000, 1_001_000)))],
      /END is not valid/,
    ],
  ])('that sends %s has failed the call', async ([, frames, message]) => {
    const peer = await Peer.warm();
    expect(await peer.answered(...frames)).toMatchObject(violation(message));
    expect(peer.channel.destroyed).toBe(true);
  });

  test('gets no long message out of a long name', async () => {
    const peer = await Peer.warm();
    const head = encodeJsonFrame(FrameType.head, { headers: { ['x'.repeat(60_000)]: '' } });
    const outcome = await peer.answered(head);
    expect(outcome).toMatchObject(violation(/HEAD is not valid/));
    expect(JSON.stringify(outcome).length).toBeLessThan(600);
  });

  test('changes no prototype', async () => {
    const peer = await Peer.warm();
    const head = '{"headers":{"__proto__":"x","a":"b"},"__proto__":{"statusCode":500}}';
    await peer.answered(encodeFrame(FrameType.head, Buffer.from(head)), END);
    expect(peer.listener.heard[1]).toBe('head 200 {"a":"b"}');
    expect(({} as { a?: string; statusCode?: number }).statusCode).toBeUndefined();
  });

  test('may return what is nested deeply', async () => {
    const peer = await Peer.warm();
    expect(await peer.answered(result(deep), END)).toMatchObject({ status: 'succeeded' });
  });
});
