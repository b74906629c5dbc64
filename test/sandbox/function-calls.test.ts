import { describe, expect, test } from 'vitest';
import type { VariableAnswer } from '../../src/core/variables.ts';
import { encodeFrame, encodeJsonFrame, FrameType } from '../../src/sandbox/frames.ts';
import { call, END, log, Peer, result, settle } from './peer.ts';

const READY = encodeJsonFrame(FrameType.ready, {
  protocol: 1,
  runtime: 'python',
  features: ['later', 'variables'],
});
const LIMITS = { ...call().limits, calls: 3 };
const get = (id: number, name = 'x') => request({ id, method: 'variable.get', name });
const request = (message: unknown) => encodeJsonFrame(FrameType.call, message);
const violation = (message: RegExp) => ({
  status: 'failed',
  failure: { code: 'invalid_response', message: expect.stringMatching(message) },
});

/** The payloads of the REPLYs that came after HELLO and INVOKE. */
function replies({ received }: Peer): unknown[] {
  let rest: Buffer = Buffer.concat(received);
  const found: unknown[] = [];
  while (rest.length >= 5) {
    const end = 5 + rest.readUInt32BE(0);
    if (rest[4] === FrameType.reply) found.push(JSON.parse(rest.subarray(5, end).toString()));
    rest = rest.subarray(end);
  }
  return found;
}

describe('a CALL', () => {
  test('is answered with its number while logs go on, and the next one may follow', async () => {
    const peer = await Peer.warm(READY);
    const answer = Promise.withResolvers<VariableAnswer>();
    peer.listener.answer = () => answer.promise;
    const outcome = peer.run({ limits: LIMITS });
    peer.send(get(1), log('meanwhile'));
    await settle();
    expect(peer.listener.heard).toContain('log meanwhile');
    expect(replies(peer)).toEqual([]);
    answer.resolve({ ok: true, value: '[1]', revision: 'r' });
    await settle();
    expect(replies(peer)).toEqual([{ id: 1, ok: true, value: '[1]', revision: 'r' }]);
    peer.send(request({ id: 2, method: 'variable.set', name: 'x', value: '2', revision: null, later: 1 }));
    await settle();
    peer.send(result('1'), END);
    expect(await outcome).toMatchObject({ status: 'succeeded', result: { value: 1 } });
    expect(peer.listener.asked).toEqual([
      { method: 'variable.get', name: 'x' },
      { method: 'variable.set', name: 'x', value: '2', revision: null },
    ]);
  });

  test('of a kind that the gateway does not know is answered, and not the end', async () => {
    const peer = await Peer.warm(READY);
    const outcome = peer.run({ limits: LIMITS });
    peer.send(request({ id: 1, method: 'secret.get', name: 'x' }));
    await settle();
    expect(replies(peer)).toMatchObject([{ id: 1, ok: false, error: { code: 'not_available' } }]);
    peer.send(END);
    expect(await outcome).toMatchObject({ status: 'succeeded' });
    expect(peer.listener.asked).toEqual([]);
  });

  test('whose answer comes after END is not answered', async () => {
    const peer = await Peer.warm(READY);
    const answer = Promise.withResolvers<VariableAnswer>();
    peer.listener.answer = () => answer.promise;
    expect(await runWith(peer, get(1), END)).toMatchObject({ status: 'succeeded' });
    answer.resolve({ ok: true });
    await settle();
    expect(replies(peer)).toEqual([]);
  });

  test('whose answer does not come does not keep a call from being aborted', async () => {
    const peer = await Peer.warm(READY);
    peer.listener.answer = () => new Promise(() => {});
    const late = new AbortController();
    const outcome = peer.run({ limits: LIMITS }, late.signal);
    peer.send(get(1));
    await settle();
    late.abort(new Error('late'));
    await expect(outcome).rejects.toThrow('late');
  });
});

describe('an agent that does not say that it can CALL', () => {
  test('is told that it may not, and is served as ever', async () => {
    const peer = await Peer.warm();
    expect(await runWith(peer, result('1'), END)).toMatchObject({ result: { value: 1 } });
    expect(Buffer.concat(peer.received).toString()).toContain('"calls":0');
  });

  test('and does all the same, has failed the call', async () => {
    const peer = await Peer.warm();
    expect(await runWith(peer, get(1))).toMatchObject(violation(/more CALLs/));
  });
});

describe('a hostile agent', () => {
  test.for<[string, Uint8Array[], RegExp]>([
    ['two CALLs at once', [get(1), get(2)], /CALL before the REPLY/],
    ['a number that is not due', [get(2)], /CALL 2 where 1 was due/],
    ['a number that is none', [get(0)], /CALL is not valid: id/],
    ['no number', [request({ method: 'variable.get', name: 'x' })], /CALL is not valid: id/],
    [
      'a name that is no text',
      [request({ id: 1, method: 'variable.get', name: {} })],
      /CALL is not valid: name/,
    ],
    ['a value that is no text', [request({ id: 1, method: 'variable.set', name: 'x', value: 1 })], /value/],
    [
      'a step that is no number',
      [request({ id: 1, method: 'variable.increment', name: 'x', by: 'y' })],
      /by/,
    ],
    ['no JSON', [encodeFrame(FrameType.call, Buffer.from('{'))], /CALL is not JSON/],
    ['more than 256 KiB', [encodeFrame(FrameType.call, Buffer.alloc(2 ** 18 + 1))], /at most 262144/],
  ])('that sends %s has failed the call', async ([, frames, message]) => {
    const peer = await Peer.warm(READY);
    peer.listener.answer = () => new Promise(() => {});
    expect(await runWith(peer, ...frames)).toMatchObject(violation(message));
    expect(peer.channel.destroyed).toBe(true);
  });

  test('that CALLs once more than it may has failed the call', async () => {
    const peer = await Peer.warm(READY);
    const outcome = peer.run({ limits: LIMITS });
    for (let id = 1; id <= 4; id++) {
      peer.send(get(id));
      await settle();
    }
    expect(await outcome).toMatchObject(violation(/more CALLs than were allowed/));
    expect(peer.listener.asked).toHaveLength(3);
  });

  test('that does not read its REPLY is asked no more until it does', async () => {
    const peer = await Peer.warm(READY);
    peer.listener.answer = async () => ({ ok: true, value: JSON.stringify('x'.repeat(60_000)) });
    const outcome = peer.run({ limits: LIMITS });
    await settle();
    peer.agent.pause();
    peer.send(get(1));
    await settle();
    peer.send(get(2));
    await settle();
    peer.send(get(3));
    await settle();
    expect(peer.listener.asked.length).toBeLessThan(3);
    expect(peer.channel.writableLength).toBeLessThan(130_000);
    peer.agent.resume();
    await settle();
    await settle();
    expect(peer.listener.asked).toHaveLength(3);
    peer.send(END);
    expect(await outcome).toMatchObject({ status: 'succeeded' });
  });
});

async function runWith(peer: Peer, ...frames: Uint8Array[]) {
  const outcome = peer.run({ limits: LIMITS });
  peer.send(...frames);
  return outcome;
}
