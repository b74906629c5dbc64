'use strict';

const { Socket } = require('node:net');
const { FrameReader, TYPE, header } = require('../lib/frames.js');

/** Bytes waiting for the gateway beyond which the worker is not read any more. */
const HIGH_WATER_BYTES = 256 * 1024;

const LIMITS = { [TYPE.HELLO]: 4096, [TYPE.INVOKE]: 64 * 2 ** 20, [TYPE.REPLY]: 256 * 1024 };

/** The frames to and from the gateway. */
class Channel {
  /**
   * Node.js opens descriptors close-on-exec and its children get their own 0, 1 and 2, so nobody inherits these.
   * @param {number} inputFd
   * @param {number} outputFd
   */
  constructor(inputFd, outputFd) {
    this.input = new Socket({ fd: inputFd, readable: true, writable: false });
    this.output = new Socket({
      fd: outputFd,
      readable: false,
      writable: true,
      highWaterMark: HIGH_WATER_BYTES,
    });
    this.output.on('error', () => this.onClose());
    this.input.on('error', () => this.onClose());
    this.input.on('close', () => this.onClose());
    this.output.on('drain', () => this.onDrain());
    this.onClose = () => {};
    this.onDrain = () => {};
  }

  /**
   * @param {(type: number, payload: Buffer) => void} onFrame
   * @param {(why: string) => void} onFault
   */
  listen(onFrame, onFault) {
    this.reader = new FrameReader(
      (type) => LIMITS[type] ?? -1,
      onFrame,
      (type, length) => onFault(`a frame of type ${type} and ${length} bytes`),
    );
    this.input.on('data', (chunk) => this.reader.push(chunk));
  }

  /** Whether the gateway has begun a frame that it has not finished. */
  get cutOff() {
    return this.reader.bytes > 0 || this.reader.want >= 0;
  }

  /** Writes that follow leave together, when `flush` is called. */
  hold() {
    this.output.cork();
  }

  flush() {
    this.output.uncork();
  }

  /**
   * @param {number} type
   * @param {Buffer} payload
   */
  send(type, payload) {
    this.output.cork();
    this.output.write(header(type, payload.length));
    this.output.write(payload);
    this.output.uncork();
  }

  /**
   * @param {number} type
   * @param {unknown} value
   */
  sendJson(type, value) {
    this.send(type, Buffer.from(JSON.stringify(value)));
  }

  /** Whether the gateway reads more slowly than the function writes. `onDrain` tells when that has changed. */
  get congested() {
    return this.output.writableNeedDrain;
  }
}

module.exports = { Channel };
