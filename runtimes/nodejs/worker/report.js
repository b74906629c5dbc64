'use strict';

/**
 * The worker's end of the channel to the supervisor. It lives in the function's process, so everything it uses is taken
 * before the function is loaded: a function that changes globals or prototypes must not garble its own report.
 */

const { closeSync, openSync, readSync, write, writeSync } = require('node:fs');
const { HEADER_BYTES, TYPE, header } = require('../lib/frames.js');

const CHANNEL_FD = 3;
/** Another descriptor while the worker rehearses. */
let channel = CHANNEL_FD;
/** Above it a payload is written by itself, instead of being copied behind its header. */
const COPY_BYTES = 64 * 1024;

const allocate = Buffer.allocUnsafe;
const bufferFrom = Buffer.from;
const stringify = JSON.stringify;
const wait = Atomics.wait;
const uncurried = Function.prototype.call.bind.bind(Function.prototype.call);
const set = uncurried(Uint8Array.prototype.set);
const sleepCell = new Int32Array(new SharedArrayBuffer(4));

/** Set while a chunk is being written in the background: nothing else may be written in the midst of it. */
let busy;

/** Writes all of it, also where the function or a child has made the descriptor non-blocking. */
function writeAll(fd, bytes) {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at, bytes.length - at);
    } catch (error) {
      if (error.code === 'EAGAIN') wait(sleepCell, 0, 0, 1);
      else if (error.code !== 'EINTR') throw error;
    }
  }
}

/**
 * @param {number} type
 * @param {Uint8Array} payload
 */
function frame(type, payload) {
  const bytes = allocate(HEADER_BYTES + payload.length);
  set(bytes, header(type, payload.length), 0);
  set(bytes, payload, HEADER_BYTES);
  return bytes;
}

/**
 * @param {number} type
 * @param {Uint8Array} payload
 */
function send(type, payload) {
  if (payload.length <= COPY_BYTES) {
    writeAll(channel, frame(type, payload));
  } else {
    writeAll(channel, header(type, payload.length));
    writeAll(channel, payload);
  }
}

/** Sends without holding up the event loop: resolves when the supervisor has taken it, which is what slows a stream down. */
function sendAsync(type, payload) {
  const bytes = frame(type, payload);
  busy = new Promise((resolve, reject) => {
    const more = (at) =>
      write(channel, bytes, at, bytes.length - at, null, (error, written) => {
        if (error && error.code !== 'EAGAIN') reject(error);
        else if (error) setTimeout(more, 1, at);
        else if (at + written < bytes.length) more(at + written);
        else resolve();
        if (!error && at + written >= bytes.length) busy = undefined;
      });
    more(0);
  });
  return busy;
}

/**
 * Sends when nothing is being written in the background.
 * @param {number} type
 * @param {Uint8Array} payload
 */
async function sendBetween(type, payload) {
  while (busy) await busy;
  if (finished) throw new Error('the call has ended');
  send(type, payload);
}

let finished = false;

/** The last word. The first one counts. @param {object} outcome without a prototype, so that no `toJSON` is inherited */
function end(outcome) {
  if (finished) return;
  finished = true;
  const last = () => quietly(TYPE.END, bufferFrom(stringify(outcome)));
  if (busy) busy.then(last, last);
  else last();
}

/** A response that is whole, and the end, in one go. */
function result(json) {
  if (finished) return;
  finished = true;
  const payload = bufferFrom(json);
  const last = frame(TYPE.END, okPayload);
  if (payload.length > COPY_BYTES) {
    quietly(TYPE.RESULT, payload);
    quietly(TYPE.END, okPayload);
    return;
  }
  const first = frame(TYPE.RESULT, payload);
  const both = allocate(first.length + last.length);
  set(both, first, 0);
  set(both, last, first.length);
  try {
    writeAll(channel, both);
  } catch {
    // The function closed the channel. The supervisor sees that by itself.
  }
}

const okPayload = bufferFrom('{"status":"ok"}');

/** @param {number} type @param {Uint8Array} payload */
function quietly(type, payload) {
  try {
    send(type, payload);
  } catch {
    // As above.
  }
}

/**
 * Plays something through without the supervisor's hearing of it.
 * @param {() => Promise<void>} play
 */
async function rehearse(play) {
  channel = openSync('/dev/null', 'w');
  try {
    await play();
  } finally {
    closeSync(channel);
    channel = CHANNEL_FD;
    finished = false;
  }
}

/** Waits for the one frame that the supervisor sends. Without the event loop: it is the quickest way to be woken. */
function receive() {
  const head = readExactly(HEADER_BYTES);
  return readExactly(((head[0] << 24) | (head[1] << 16) | (head[2] << 8) | head[3]) >>> 0);
}

/** @param {number} length */
function readExactly(length) {
  const bytes = allocate(length);
  for (let at = 0; at < length; ) {
    const count = readSync(channel, bytes, at, length - at, null);
    // The supervisor is gone, and with it the reason to be here.
    if (count === 0) process.reallyExit(0);
    at += count;
  }
  return bytes;
}

module.exports = {
  end,
  get finished() {
    return finished;
  },
  quietly,
  receive,
  rehearse,
  result,
  send,
  sendAsync,
  sendBetween,
  writeAll,
};
