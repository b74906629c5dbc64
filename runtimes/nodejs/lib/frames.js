'use strict';

/** Frames as in runtimes/PROTOCOL.md: four bytes of length, one byte of type, the payload. */

/** Types of the protocol, and of the channel between the supervisor and the worker, which speak the same framing. */
const TYPE = {
  HELLO: 0x01,
  INVOKE: 0x02,
  REPLY: 0x03,
  READY: 0x81,
  HEAD: 0x82,
  DATA: 0x83,
  LOG: 0x84,
  RESULT: 0x85,
  END: 0x86,
  CALL: 0x87,
  // Worker to supervisor only.
  /** The worker can run a call at once. */
  WARM: 0x10,
  /** `h`: what was loaded is a handler module; `s`: a script. */
  MODE: 0x11,
  /** Printed through process.stdout while the mode is not known yet. */
  OUT: 0x12,
  /** Printed through process.stderr while the mode is not known yet. */
  ERR: 0x13,
  /** A script failed: JSON as in END's `error`. Its process ends by itself. */
  FAIL: 0x14,
  /** A script called `output`: the value as JSON. The last one counts, and makes an earlier FAIL void. */
  OUTPUT: 0x15,
};

const { allocUnsafe } = Buffer;

/** Bytes in front of a payload. */
const HEADER_BYTES = 5;

/**
 * @param {number} type
 * @param {number} length of the payload in bytes
 */
function header(type, length) {
  const head = allocUnsafe(HEADER_BYTES);
  // By index: Buffer and its prototype are within a function's reach.
  head[0] = length >>> 24;
  head[1] = length >>> 16;
  head[2] = length >>> 8;
  head[3] = length;
  head[4] = type;
  return head;
}

/** Cuts a byte stream into frames. Stops for good at the first frame that `limitOf` does not allow. */
class FrameReader {
  /**
   * @param {(type: number) => number} limitOf the most bytes a payload of the type may have now; negative forbids the type
   * @param {(type: number, payload: Buffer) => void} onFrame
   * @param {(type: number, length: number) => void} onFault
   */
  constructor(limitOf, onFrame, onFault) {
    this.limitOf = limitOf;
    this.onFrame = onFrame;
    this.onFault = onFault;
    /** @type {Buffer[]} */
    this.chunks = [];
    this.bytes = 0;
    /** Length of the payload being collected, or -1 while a header is. */
    this.want = -1;
    this.type = 0;
    this.stopped = false;
  }

  /** @param {Buffer} chunk */
  push(chunk) {
    if (this.stopped) return;
    this.chunks.push(chunk);
    this.bytes += chunk.length;
    while (!this.stopped) {
      if (this.want < 0) {
        if (this.bytes < HEADER_BYTES) return;
        const head = this.take(HEADER_BYTES);
        this.want = head.readUInt32BE(0);
        this.type = head[4];
        if (this.want > this.limitOf(this.type)) {
          this.stop();
          this.onFault(this.type, this.want);
          return;
        }
      }
      if (this.bytes < this.want) return;
      const payload = this.take(this.want);
      this.want = -1;
      this.onFrame(this.type, payload);
    }
  }

  /** Ignores whatever still comes. */
  stop() {
    this.stopped = true;
    this.chunks = [];
    this.bytes = 0;
  }

  /** @param {number} length */
  take(length) {
    if (this.chunks.length > 1 && this.chunks[0].length < length)
      this.chunks = [Buffer.concat(this.chunks, this.bytes)];
    this.bytes -= length;
    if (length === 0) return Buffer.alloc(0);
    const first = this.chunks[0];
    if (first.length === length) {
      this.chunks.shift();
      return first;
    }
    this.chunks[0] = first.subarray(length);
    return first.subarray(0, length);
  }
}

module.exports = { FrameReader, HEADER_BYTES, TYPE, header };
