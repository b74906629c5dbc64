'use strict';

const { closeSync, constants, openSync } = require('node:fs');
const { Writable } = require('node:stream');
const { TYPE } = require('../lib/frames.js');
const { quietly, writeAll } = require('./report.js');

const FRAME_BYTES = 1024 * 1024;

const bufferFrom = Buffer.from;
const isView = ArrayBuffer.isView;
const subarray = Function.prototype.call.bind(Uint8Array.prototype.subarray);

/** Where prints go. `dropped` while the worker warms up, `frames` while it is open whether this is a script. */
let sink = 'dropped';
let pipes = '';

/**
 * Puts streams in place of Node.js's own that write at once, so that the order of printing is kept across both, and that
 * nothing is lost when the process ends.
 * @param {string} folder with the named pipes
 */
function installStdio(folder) {
  for (const [fd, name] of [
    [1, 'stdout'],
    [2, 'stderr'],
  ]) {
    const stream = printer(fd);
    Object.defineProperty(process, name, { configurable: true, enumerable: true, get: () => stream });
  }
  pipes = folder;
  reopen(1, 'stdout');
  reopen(2, 'stderr');
}

/** @param {number} fd */
function printer(fd) {
  const put = (chunk, encoding) => {
    const bytes = typeof chunk === 'string' ? bufferFrom(chunk, encoding) : chunk;
    if (!isView(bytes))
      throw new TypeError('The "chunk" argument must be of type string or an instance of Buffer');
    print(fd, bytes);
  };
  const stream = new Writable({
    decodeStrings: false,
    write(chunk, encoding, done) {
      put(chunk, encoding);
      done();
    },
    destroy(error, done) {
      done(error);
    },
  });
  // Not through the stream's buffer, which a pending write or a cork could hold up.
  stream.write = (chunk, encoding, done) => {
    const callback = typeof encoding === 'function' ? encoding : done;
    put(chunk, typeof encoding === 'string' ? encoding : undefined);
    if (typeof callback === 'function') process.nextTick(callback);
    return true;
  };
  stream.fd = fd;
  stream._type = 'pipe';
  return stream;
}

/** @param {number} fd @param {Uint8Array} bytes */
function print(fd, bytes) {
  if (sink === 'frames') {
    for (let at = 0; at < bytes.length; at += FRAME_BYTES) {
      quietly(fd === 1 ? TYPE.OUT : TYPE.ERR, subarray(bytes, at, at + FRAME_BYTES));
    }
  } else if (sink === 'descriptors') {
    try {
      writeAll(fd, bytes);
    } catch {
      // The function closed it: then what it prints goes nowhere.
    }
  }
}

/** Undoes `mergeOutput`. */
function separateOutput() {
  reopen(1, 'stdout');
}

/** @param {'dropped' | 'frames' | 'descriptors'} where */
function printTo(where) {
  sink = where;
}

/** From now on stdout and stderr are one pipe: for native code and children too. */
function mergeOutput() {
  reopen(1, 'stderr');
}

/** @param {number} fd @param {string} name of the pipe */
function reopen(fd, name) {
  let opened;
  try {
    // First to another descriptor: if there is no pipe, the descriptor stays what it was.
    opened = openSync(`${pipes}/${name}`, constants.O_WRONLY);
    closeSync(fd);
    // The lowest free one is the one just closed.
    openSync(`${pipes}/${name}`, constants.O_WRONLY);
  } catch {
    // The sockets that the process was started with do as well.
  }
  if (opened !== undefined) closeSync(opened);
}

module.exports = { installStdio, mergeOutput, printTo, separateOutput };
