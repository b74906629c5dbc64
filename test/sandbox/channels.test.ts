import { type Duplex, duplexPair } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { AttachedChannel } from '../../src/sandbox/docker-stream.ts';
import { settle } from './peer.ts';

/** A part of an attach stream: 1 is standard output, 2 standard error. */
function part(kind: number, text: string | Buffer): Buffer {
  const body = Buffer.from(text);
  const header = Buffer.alloc(8);
  header.writeUInt8(kind);
  header.writeUInt32BE(body.byteLength, 4);
  return Buffer.concat([header, body]);
}

function attached() {
  const [ours, engine] = duplexPair();
  const stderr: string[] = [];
  const channel = new AttachedChannel(ours, (chunk) => stderr.push(chunk.toString()));
  engine.on('error', () => {});
  return { channel, engine, socket: ours, stderr };
}

/** All that the channel gives until its end. */
async function readAll(channel: Duplex): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of channel) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

describe('an attach stream', () => {
  test.for([1, 2, 3, 5, 7, 8, 9, 100])('is split right when it comes in pieces of %i byte', async (size) => {
    const { channel, engine, stderr } = attached();
    const sent = Buffer.concat([
      part(1, 'out1 '),
      part(2, 'err1 '),
      part(1, ''),
      part(1, 'out2'),
      part(2, 'err2'),
    ]);
    const read = readAll(channel);
    for (let at = 0; at < sent.byteLength; at += size) engine.write(sent.subarray(at, at + size));
    engine.end();
    expect(await read).toBe('out1 out2');
    expect(stderr.join('')).toBe('err1 err2');
  });

  test("keeps the engine's own complaints out of the protocol", async () => {
    const { channel, engine, stderr } = attached();
    engine.end(Buffer.concat([part(1, 'out'), part(3, 'the engine failed')]));
    expect(await readAll(channel)).toBe('out');
    expect(stderr).toEqual(['the engine failed']);
  });

  test('passes on what is written', async () => {
    const { channel, engine } = attached();
    channel.write('hello');
    await settle();
    expect(String(engine.read())).toBe('hello');
    channel.destroy();
  });

  test('stops reading while nobody reads it', async () => {
    const { channel, engine, socket } = attached();
    const big = part(1, Buffer.alloc(100_000));
    while (engine.write(big)) await settle();
    await settle();
    expect(socket.isPaused()).toBe(true);
    expect(channel.readableLength).toBeLessThan(400_000);
    channel.resume();
    await settle();
    expect(socket.isPaused()).toBe(false);
    channel.destroy();
  });

  test('that ends while nobody reads it is read to its end', async () => {
    const { channel, engine, socket } = attached();
    engine.end(Buffer.concat([part(1, 'x'.repeat(100_000)), part(1, 'the last words')]));
    await settle();
    socket.destroy();
    await settle();
    expect((await readAll(channel)).endsWith('the last words')).toBe(true);
  });

  test.for(['end', 'destroy'] as const)('closes when the engine does (%s)', async (way) => {
    const { channel, engine, socket } = attached();
    channel.on('error', () => {});
    channel.resume();
    engine.resume();
    engine[way]();
    if (way === 'destroy') socket.destroy();
    await settle();
    expect(channel.destroyed).toBe(true);
    expect(socket.destroyed).toBe(true);
  });

  test('that fails fails the channel', async () => {
    const { channel, socket } = attached();
    const failed = new Promise((resolve) => channel.once('error', resolve));
    socket.destroy(new Error('reset'));
    expect(await failed).toMatchObject({ message: 'reset' });
  });

  test('takes the connection with it', async () => {
    const { channel, socket } = attached();
    channel.destroy();
    await settle();
    expect(socket.destroyed).toBe(true);
  });
});
