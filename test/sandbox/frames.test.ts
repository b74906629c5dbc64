import { describe, expect, test } from 'vitest';
import {
  encodeFrame,
  encodeJsonFrame,
  type Frame,
  FrameDecoder,
  FrameType,
} from '../../src/sandbox/frames.ts';

function header(length: number, type: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes.writeUInt32BE(length);
  bytes.writeUInt8(type, 4);
  return bytes;
}

function decodeAll(decoder: FrameDecoder): Frame[] {
  const frames: Frame[] = [];
  for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) frames.push(frame);
  return frames;
}

describe('frames', () => {
  test('are written as the worked example in the protocol', () => {
    expect(encodeJsonFrame(FrameType.hello, { protocol: 1 }).toString('hex')).toBe(
      '0000000e017b2270726f746f636f6c223a317d',
    );
  });

  test.for([1, 2, 3, 4, 5, 6, 7, 11, 1_000])('come out whole when cut into pieces of %i byte', (size) => {
    const sent = [
      encodeFrame(FrameType.log, Buffer.from('one')),
      encodeFrame(FrameType.data, Buffer.alloc(0)),
      encodeFrame(FrameType.data, Buffer.alloc(700, 'x')),
      encodeJsonFrame(FrameType.end, { status: 'ok' }),
    ];
    const stream = Buffer.concat(sent);
    const decoder = new FrameDecoder();
    const frames: Frame[] = [];
    for (let at = 0; at < stream.byteLength; at += size) {
      decoder.push(stream.subarray(at, at + size));
      frames.push(...decodeAll(decoder));
    }
    expect(frames.map(({ type, payload }) => encodeFrame(type, payload))).toEqual(sent);
    expect(decoder.isEmpty).toBe(true);
  });

  test.for([
    ['READY', FrameType.ready, 4_096],
    ['HEAD', FrameType.head, 65_536],
    ['DATA', FrameType.data, 2 ** 20],
    ['LOG', FrameType.log, 2 ** 20],
    ['RESULT', FrameType.result, 1_000],
    ['END', FrameType.end, 262_144],
  ] as const)('%s over its limit is refused at its header', ([, type, limit]) => {
    const decoder = new FrameDecoder();
    decoder.resultBytes = 1_000;
    decoder.push(header(limit, type));
    expect(decoder.next()).toBeUndefined();
    const strict = new FrameDecoder();
    strict.resultBytes = 1_000;
    strict.push(header(limit + 1, type));
    expect(() => strict.next()).toThrow(`of ${limit + 1} bytes, at most ${limit}`);
  });

  test('RESULT is refused before there is a call', () => {
    const decoder = new FrameDecoder();
    decoder.push(header(1, FrameType.result));
    expect(() => decoder.next()).toThrow('at most 0');
  });

  test.for([0x00, 0x01, 0x02, 0x7f, 0x80, 0x88, 0xff])('an unknown type 0x%s is refused', (type) => {
    const decoder = new FrameDecoder();
    decoder.push(header(0, type));
    expect(() => decoder.next()).toThrow('unknown type');
  });

  test('a large frame in small pieces is copied a few times and not once a piece', () => {
    const size = 6 * 2 ** 20;
    const decoder = new FrameDecoder();
    decoder.resultBytes = size;
    decoder.push(header(size, FrameType.result));
    const copied = countCopied(() => {
      for (let at = 0; at < size; at += 1_024) {
        decoder.push(Buffer.alloc(1_024, at / 1_024));
        if (at + 1_024 < size) expect(decoder.next()).toBeUndefined();
      }
    });
    expect(copied).toBeLessThan(5 * size);
    const { payload } = decoder.next()!;
    expect(payload.byteLength).toBe(size);
    expect(payload[1_024 * 300]).toBe(300 % 256);
  });

  test('what is kept holds on to no larger read that it was a view of', () => {
    const decoder = new FrameDecoder();
    decoder.push(header(3, FrameType.data));
    const reads = [1, 2, 3].map((byte) => Buffer.alloc(65_536, byte));
    for (const read of reads) decoder.push(read.subarray(0, 1));
    const { payload } = decoder.next()!;
    expect([...payload]).toEqual([1, 2, 3]);
    for (const read of reads) expect(payload.buffer).not.toBe(read.buffer);
  });
});

/** Bytes that `Buffer.copy` moved meanwhile. */
function countCopied(work: () => void): number {
  const { copy } = Buffer.prototype;
  let copied = 0;
  Buffer.prototype.copy = function (this: Buffer, ...args: Parameters<typeof copy>): number {
    const bytes = copy.apply(this, args);
    copied += bytes;
    return bytes;
  };
  try {
    work();
  } finally {
    Buffer.prototype.copy = copy;
  }
  return copied;
}
