'use strict';

/** Most bytes of one LOG or DATA frame. */
const FRAME_BYTES = 1024 * 1024;
/** Enough of the end of what was printed to hold V8's last words. */
const TAIL_BYTES = 8192;

/** Sends what a function prints up to a limit, and counts the rest. */
class Log {
  /**
   * @param {(chunk: Buffer) => void} send
   * @param {number} limitBytes
   */
  constructor(send, limitBytes) {
    this.send = send;
    this.leftBytes = limitBytes;
    this.droppedBytes = 0;
    /** The end of what was printed, also past the limit. */
    this.tail = Buffer.alloc(0);
  }

  /** @param {Buffer} chunk */
  write(chunk) {
    this.tail =
      chunk.length >= TAIL_BYTES
        ? chunk.subarray(-TAIL_BYTES)
        : Buffer.concat([this.tail.subarray(chunk.length - TAIL_BYTES), chunk]);
    const sent = chunk.subarray(0, this.leftBytes);
    this.leftBytes -= sent.length;
    this.droppedBytes += chunk.length - sent.length;
    for (const part of slices(sent)) this.send(part);
  }
}

/**
 * Cuts bytes into payloads of frames.
 * @param {Buffer} bytes
 */
function* slices(bytes) {
  for (let at = 0; at < bytes.length; at += FRAME_BYTES) yield bytes.subarray(at, at + FRAME_BYTES);
}

module.exports = { FRAME_BYTES, Log, slices };
