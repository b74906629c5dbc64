/** The frames of runtimes/PROTOCOL.md. */
export const FrameType = {
  hello: 0x01,
  invoke: 0x02,
  reply: 0x03,
  ready: 0x81,
  head: 0x82,
  data: 0x83,
  log: 0x84,
  result: 0x85,
  end: 0x86,
  call: 0x87,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

export const PROTOCOL_VERSION = 1;
export const MAX_INVOKE_BYTES = 64 * 2 ** 20;

const HEADER_BYTES = 5;
const MAX_IDLE_BYTES = 64 * 2 ** 10;
const KIB = 2 ** 10;
const MIB = 2 ** 20;

export interface Frame {
  type: FrameType;
  payload: Buffer;
}

/** What came out of a sandbox is not the protocol. Never the gateway's fault, so never its end. */
export class ProtocolViolation extends Error {
  override readonly name = 'ProtocolViolation';
}

/** One frame, ready to be written. */
export function encodeFrame(type: FrameType, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.byteLength);
  frame.writeUInt32BE(payload.byteLength, 0);
  frame.writeUInt8(type, 4);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

export function encodeJsonFrame(type: FrameType, value: unknown): Buffer {
  return encodeFrame(type, Buffer.from(JSON.stringify(value)));
}

/** Payload bounds, in bytes, of what an agent may send. `result` is the call's own limit. */
function limitOf(type: number, resultBytes: number): number | undefined {
  switch (type) {
    case FrameType.ready:
      return 4 * KIB;
    case FrameType.head:
      return 64 * KIB;
    case FrameType.data:
    case FrameType.log:
      return MIB;
    case FrameType.result:
      return resultBytes;
    case FrameType.end:
    case FrameType.call:
      return 256 * KIB;
    default:
      return undefined;
  }
}

/**
 * Cuts an agent's byte stream into frames. A length over its limit is refused when the header is seen, before a byte of the
 * payload is kept, so that a hostile agent costs no memory.
 */
export class FrameDecoder {
  /** Largest RESULT, bytes; 0 until a call is under way. */
  resultBytes = 0;
  /** Bytes that have come and belong to no frame yet: those from `#start` to `#end`. */
  #kept: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  #header: { type: FrameType; length: number } | undefined;

  /** Nothing of a frame has come that was not given out. */
  get isEmpty(): boolean {
    return this.#header === undefined && this.#start === this.#end;
  }

  /**
   * Copies the chunk. Kept as it is, a chunk of one byte would hold on to the whole read that it is a view of, and an agent
   * that sends byte by byte would cost a thousand times what it sends.
   */
  push(chunk: Buffer): void {
    const kept = this.#end - this.#start;
    if (this.#end + chunk.byteLength > this.#kept.byteLength) {
      const needed = kept + chunk.byteLength;
      // Moved to the front where that makes room for long, else to a buffer of twice the size: each byte is moved a few times at most.
      const target = needed * 2 <= this.#kept.byteLength ? this.#kept : Buffer.allocUnsafeSlow(needed * 2);
      this.#kept.copy(target, 0, this.#start, this.#end);
      this.#kept = target;
      this.#start = 0;
      this.#end = kept;
    }
    chunk.copy(this.#kept, this.#end);
    this.#end += chunk.byteLength;
  }

  /**
   * The next whole frame, or `undefined` until more bytes have come.
   * @throws ProtocolViolation
   */
  next(): Frame | undefined {
    this.#header ??= this.#readHeader();
    if (this.#header === undefined || this.#end - this.#start < this.#header.length) return undefined;
    const frame = { type: this.#header.type, payload: this.#take(this.#header.length) };
    this.#header = undefined;
    return frame;
  }

  #readHeader(): { type: FrameType; length: number } | undefined {
    if (this.#end - this.#start < HEADER_BYTES) return undefined;
    const header = this.#take(HEADER_BYTES);
    const length = header.readUInt32BE(0);
    const type = header.readUInt8(4);
    const limit = limitOf(type, this.resultBytes);
    if (limit === undefined) throw new ProtocolViolation(`frame of unknown type 0x${type.toString(16)}`);
    if (length > limit)
      throw new ProtocolViolation(`frame 0x${type.toString(16)} of ${length} bytes, at most ${limit}`);
    return { type: type as FrameType, length };
  }

  #take(length: number): Buffer {
    const taken = Buffer.from(this.#kept.subarray(this.#start, this.#start + length));
    this.#start += length;
    // A large frame's buffer is not kept for the small ones that follow.
    if (this.#start === this.#end && this.#kept.byteLength > MAX_IDLE_BYTES) this.#kept = Buffer.alloc(0);
    if (this.#start === this.#end) this.#start = this.#end = 0;
    return taken;
  }
}
