'use strict';

const { FrameReader, TYPE } = require('../lib/frames.js');
const report = require('./report.js');

const CHANNEL_FD = 3;
const REPLY_BYTES = 256 * 1024;

const bufferFrom = Buffer.from;
const { parse, stringify } = JSON;

/** Set up when a function asks for the first time: those that never do pay nothing. */
let socket;
/** @type {{ resolve: (answer: object) => void, reject: (error: Error) => void } | undefined} */
let waiting;
/** The turn of whoever asked last. */
let last = Promise.resolve();

/**
 * Asks the supervisor, which asks the gateway. Those who ask at once take turns.
 * @param {object} request
 * @returns {Promise<any>} the answer as PROTOCOL.md has it
 */
function ask(request) {
  const turn = last.then(() => exchange(request));
  last = turn.catch(() => {});
  return turn;
}

/** @param {object} request */
async function exchange(request) {
  open();
  await report.sendBetween(TYPE.CALL, bufferFrom(stringify(request)));
  return await new Promise((resolve, reject) => {
    waiting = { resolve, reject };
    // What a function waits for keeps its process alive, and nothing else of this does.
    socket.ref();
  });
}

function open() {
  if (socket !== undefined) return;
  const { Socket } = require('node:net');
  socket = new Socket({ fd: CHANNEL_FD, readable: true, writable: false });
  socket.unref();
  const reader = new FrameReader(
    (type) => (type === TYPE.REPLY ? REPLY_BYTES : -1),
    (_type, payload) => settle(({ resolve }) => resolve(parse(payload.toString()))),
    () => socket.destroy(),
  );
  socket.on('data', (chunk) => reader.push(chunk));
  socket.on('error', () => {});
  socket.on('close', () => settle(({ reject }) => reject(new Error('the way to the gateway is closed'))));
}

/** @param {(asked: NonNullable<typeof waiting>) => void} how */
function settle(how) {
  const asked = waiting;
  waiting = undefined;
  socket.unref();
  if (asked !== undefined) how(asked);
}

module.exports = { ask };
