import { describe, expect, test } from 'vitest';
import { data, END, HEAD, log, Peer, result, settle } from './peer.ts';

const sandboxEnded = {
  status: 'failed',
  failure: { code: 'function_error', message: 'The sandbox ended before the function answered.' },
};

describe('a channel that closes', () => {
  test.for<[string, Uint8Array[]]>([
    ['before any frame', []],
    ['within a frame', [result('12345').subarray(0, 7)]],
    ['after RESULT', [result('1')]],
    ['after HEAD', [HEAD]],
    ['within a stream', [HEAD, data('a')]],
  ])('%s has failed the call', async ([, frames]) => {
    const peer = await Peer.warm();
    const outcome = peer.run();
    peer.agent.end(Buffer.concat(frames));
    expect(await outcome).toMatchObject(sandboxEnded);
  });

  test('with an error has failed the call', async () => {
    const peer = await Peer.warm();
    const outcome = peer.run();
    peer.channel.destroy(new Error('reset'));
    expect(await outcome).toMatchObject(sandboxEnded);
  });

  test('after END changes nothing', async () => {
    const peer = await Peer.warm();
    const outcome = peer.run();
    peer.agent.end(Buffer.concat([result('1'), END]));
    expect(await outcome).toMatchObject({ result: { value: 1 } });
    await settle();
  });
});

describe('a client that does not read', () => {
  test('holds the sandbox back: nothing more is read', async () => {
    const peer = await Peer.warm();
    const gate = Promise.withResolvers<void>();
    peer.listener.hold = gate.promise;
    const outcome = peer.run({ limits: { logBytes: 0, responseBytes: 0, streamBytes: 2 ** 30 } });
    peer.send(HEAD, data('first'));
    await settle();
    let sent = 0;
    while (sent < 200 && peer.agent.write(data('x'.repeat(100_000)))) {
      sent += 1;
      await settle();
    }
    expect(sent).toBeLessThan(5);
    expect(peer.listener.heard).toHaveLength(3);
    peer.listener.hold = undefined;
    gate.resolve();
    peer.send(END);
    expect(await outcome).toMatchObject({ status: 'succeeded' });
  });

  test('still gets every frame in order when the channel closes meanwhile, and then the end', async () => {
    const peer = await Peer.warm();
    const gates = [1, 2, 3].map(() => Promise.withResolvers<void>());
    peer.listener.hold = gates[0]!.promise;
    const outcome = peer.run();
    peer.agent.end(Buffer.concat([HEAD, data('a'), data('b'), log('l'), data('c'), END]));
    await settle();
    expect(peer.listener.heard.slice(2)).toEqual(['data a']);
    peer.listener.hold = gates[1]!.promise;
    gates[0]!.resolve();
    await settle();
    expect(peer.listener.heard.slice(2)).toEqual(['data a', 'data b']);
    peer.listener.hold = gates[2]!.promise;
    gates[1]!.resolve();
    await settle();
    expect(peer.listener.heard.slice(2)).toEqual(['data a', 'data b', 'log l', 'data c']);
    gates[2]!.resolve();
    expect(await outcome).toMatchObject({ status: 'succeeded' });
  });

  test('is told of a sandbox that died once it has read what came before', async () => {
    const peer = await Peer.warm();
    const gate = Promise.withResolvers<void>();
    peer.listener.hold = gate.promise;
    const outcome = peer.run();
    peer.send(HEAD, data('a'), data('b'));
    await settle();
    peer.channel.destroy();
    await settle();
    peer.listener.hold = undefined;
    gate.resolve();
    expect(await outcome).toMatchObject(sandboxEnded);
    expect(peer.listener.heard.slice(2)).toEqual(['data a', 'data b']);
  });

  test('and fails at that has failed the call, and not the gateway', async () => {
    const peer = await Peer.warm();
    const gate = Promise.withResolvers<void>();
    peer.listener.hold = gate.promise;
    const outcome = peer.run();
    peer.send(HEAD, data('a'));
    await settle();
    gate.reject(new Error('broken reader'));
    await expect(outcome).rejects.toThrow('broken reader');
  });
});

describe('an abort', () => {
  test('before the call sends nothing', async () => {
    const peer = await Peer.warm();
    const sent = peer.received.length;
    await expect(peer.run({}, AbortSignal.abort(new Error('late')))).rejects.toThrow('late');
    await settle();
    expect(peer.received).toHaveLength(sent);
  });

  test.for<[string, Uint8Array[]]>([
    ['before any frame', []],
    ['within a frame', [result('12345').subarray(0, 7)]],
    ['after RESULT', [result('1')]],
    ['within a stream', [HEAD, data('a')]],
  ])('%s ends the call with its reason, and nothing after is heard', async ([, frames]) => {
    const peer = await Peer.warm();
    const late = new AbortController();
    const outcome = peer.run({}, late.signal);
    peer.send(...frames, Buffer.alloc(0));
    await settle();
    const heard = peer.listener.heard.length;
    late.abort(new Error('late'));
    await expect(outcome).rejects.toThrow('late');
    peer.send(log('more'), END);
    await settle();
    expect(peer.listener.heard).toHaveLength(heard);
  });

  test('while a client holds it back ends the call', async () => {
    const peer = await Peer.warm();
    const late = new AbortController();
    const gate = Promise.withResolvers<void>();
    peer.listener.hold = gate.promise;
    const outcome = peer.run({}, late.signal);
    peer.send(HEAD, data('a'), data('b'), END);
    await settle();
    late.abort(new Error('late'));
    await expect(outcome).rejects.toThrow('late');
    gate.resolve();
    await settle();
    expect(peer.listener.heard).not.toContain('data b');
  });

  test('after the call changes nothing', async () => {
    const peer = await Peer.warm();
    const late = new AbortController();
    const outcome = peer.run({}, late.signal);
    peer.send(END);
    expect(await outcome).toMatchObject({ status: 'succeeded' });
    late.abort();
  });
});
