'use strict';

const { TYPE } = require('../lib/frames.js');
const { CALL_BYTES, Calls } = require('./calls.js');
const { failureOf, failureOfExit } = require('./failure.js');
const { FRAME_BYTES, Log, slices } = require('./log.js');
const { oomKills } = require('./memory.js');
const { Printed } = require('./printed.js');

const HEAD_BYTES = 64 * 1024;
const END_BYTES = 256 * 1024;
/** Between a worker's closing of its channel and the report that it has ended. */
const CLOSING_MS = 500;
const PRINTED_HEAD = {
  statusCode: 200,
  headers: { 'content-type': 'text/plain; charset=utf-8' },
  cookies: [],
};

/** One call, from INVOKE to END. What the worker sends is the function's word: checked, bounded, never trusted. */
class Run {
  /**
   * @param {import('./channel.js').Channel} channel
   * @param {import('./worker-link.js').WorkerLink} link
   * @param {number} oomKillsBefore as `oomKills` counted them before the call
   * @param {{ limits?: { logBytes?: number, responseBytes?: number, streamBytes?: number, calls?: number } }} call
   */
  constructor(channel, link, oomKillsBefore, call) {
    const {
      logBytes = 262_144,
      responseBytes = 6_291_456,
      streamBytes = 104_857_600,
      calls = 0,
    } = call.limits ?? {};
    this.channel = channel;
    this.link = link;
    this.responseBytes = responseBytes;
    this.streamLeftBytes = streamBytes;
    this.log = new Log((chunk) => this.send(TYPE.LOG, chunk), logBytes);
    this.calls = new Calls(
      (type, payload) => this.send(type, payload),
      (payload) => link.send(TYPE.REPLY, payload),
      calls,
    );
    this.printer = new Printed(this.log, streamBytes);
    /** What has been answered. @type {'nothing' | 'result' | 'stream'} */
    this.answered = 'nothing';
    /** A script's `output`, sent when it has ended well. @type {Buffer | undefined} */
    this.output = undefined;
    /** Why a script is about to end. */
    this.failure = undefined;
    this.ended = false;
    this.oomKillsBefore = oomKillsBefore;
  }

  /**
   * The most bytes that a frame of the worker may have now.
   * @param {number} type
   */
  limitOf(type) {
    if (type === TYPE.END || type === TYPE.FAIL) return END_BYTES;
    if (type === TYPE.MODE) return 1;
    if (type === TYPE.CALL) return this.calls.waiting ? -1 : CALL_BYTES;
    if (type === TYPE.OUT || type === TYPE.ERR) return FRAME_BYTES;
    if (type === TYPE.OUTPUT) return this.responseBytes;
    if (type === TYPE.RESULT) return this.answered === 'nothing' ? this.responseBytes : -1;
    if (type === TYPE.HEAD) return this.answered === 'nothing' ? HEAD_BYTES : -1;
    if (type === TYPE.DATA)
      return this.answered === 'stream' ? Math.min(FRAME_BYTES, this.streamLeftBytes) : -1;
    return -1;
  }

  /**
   * @param {number} type
   * @param {Buffer} payload
   */
  frame(type, payload) {
    if (this.ended) return;
    if (type === TYPE.OUT) this.printedMore(1, payload);
    else if (type === TYPE.ERR) this.printedMore(2, payload);
    else if (type === TYPE.MODE) this.printer.decide(payload.toString() === 'h' ? 'handler' : 'script');
    else if (type === TYPE.FAIL) this.failure = failureOf(parse(payload));
    else if (type === TYPE.END) this.claimedEnd(parse(payload));
    else if (type === TYPE.OUTPUT) this.outputGiven(payload);
    else if (type === TYPE.CALL) this.ask(payload);
    else this.answer(type, payload);
  }

  /** @param {Buffer} payload */
  ask(payload) {
    if (!this.calls.ask(parse(payload))) this.fault(TYPE.CALL, payload.length);
  }

  /**
   * @param {Buffer} payload
   * @returns {boolean} false when the gateway must not send it now
   */
  reply(payload) {
    // Sent before the gateway knew of the end.
    if (this.ended) return this.calls.waiting;
    return this.calls.take(payload);
  }

  outputGiven(json) {
    this.output = json;
    this.failure = undefined;
    this.printer.giveUpResponse();
  }

  /** A handler's answer goes on as it comes. */
  answer(type, payload) {
    this.answered = type === TYPE.RESULT ? 'result' : 'stream';
    if (type === TYPE.DATA) this.streamLeftBytes -= payload.length;
    this.send(type, payload);
  }

  /** The worker sent what it must not send: it is not the worker that did, but the function. */
  fault(type, length) {
    if (this.ended) return;
    const tooLarge =
      (type === TYPE.RESULT && this.answered === 'nothing') ||
      (type === TYPE.DATA && this.answered === 'stream' && length <= FRAME_BYTES);
    this.link.kill();
    this.fail(
      tooLarge
        ? { code: 'response_too_large', message: 'The response is larger than the limit.' }
        : { code: 'invalid_response', message: 'The function wrote to a descriptor that is not its own.' },
    );
  }

  /**
   * @param {1 | 2} fd
   * @param {Buffer} chunk
   */
  printed(fd, chunk) {
    if (this.ended) return;
    // Frames were written before, if any are waiting: they tell what this is, and what was printed earlier.
    if (this.printer.mode === undefined && !this.draining) this.link.drainFrames();
    this.printedMore(fd, chunk);
  }

  printedMore(fd, chunk) {
    if (this.ended) return;
    this.printer.write(fd, chunk);
    if (!this.printer.overflowed) return;
    this.link.kill();
    this.fail({ code: 'response_too_large', message: 'The script printed more than the limit.' });
  }

  /** The function closed the channel, or has ended and its end is still to be reported. */
  channelClosed() {
    if (this.ended || this.closing) return;
    this.closing = setTimeout(() => {
      this.fail({ code: 'function_error', message: 'The function closed a descriptor that is not its own.' });
    }, CLOSING_MS);
  }

  /**
   * @param {number | null} code
   * @param {string | null} signal
   */
  exited(code, signal) {
    const exit = { code, signal };
    if (this.ended) return;
    this.exit = exit;
    this.link.drainFrames();
    if (this.ended) return;
    this.drainPrints();
    if (this.failure) return this.fail(this.failure);
    if (this.printer.mode !== 'handler' && code === 0 && this.answered === 'nothing')
      return this.scriptEnded();
    this.fail(failureOfExit(exit, this.log.tail.toString('latin1'), oomKills() > this.oomKillsBefore));
  }

  scriptEnded() {
    if (this.ended) return;
    if (this.output) {
      this.answer(TYPE.RESULT, this.output);
    } else {
      const { chunks } = this.printer.response();
      if (chunks.length > 0) this.send(TYPE.HEAD, Buffer.from(JSON.stringify(PRINTED_HEAD)));
      for (const chunk of chunks) for (const part of slices(chunk)) this.send(TYPE.DATA, part);
    }
    this.end({ status: 'ok' });
  }

  /** @param {unknown} claimed */
  claimedEnd(claimed) {
    const { status, error } = Object(claimed);
    if (status === 'ok') {
      this.drainPrints();
      this.printer.toLog();
      this.end({ status: 'ok' });
    } else {
      this.fail(failureOf(error));
    }
  }

  /** @param {ReturnType<typeof failureOf>} failure */
  fail(failure) {
    if (this.ended) return;
    this.drainPrints();
    this.printer.toLog();
    this.end({ status: 'error', error: failure });
  }

  drainPrints() {
    if (this.draining) return;
    this.draining = true;
    this.link.drainPrints();
    this.draining = false;
  }

  /** @param {object} outcome */
  end(outcome) {
    if (this.ended) return;
    this.ended = true;
    clearTimeout(this.closing);
    this.link.reader.stop();
    const droppedLogBytes = this.log.droppedBytes;
    this.channel.sendJson(TYPE.END, { ...outcome, exit: this.exit ?? null, droppedLogBytes });
  }

  /**
   * @param {number} type
   * @param {Buffer} payload
   */
  send(type, payload) {
    this.channel.send(type, payload);
    if (this.channel.congested) this.link.pause();
  }
}

/** @param {Buffer} payload */
function parse(payload) {
  try {
    return JSON.parse(payload.toString());
  } catch {
    return undefined;
  }
}

module.exports = { Run };
