'use strict';

const { TYPE } = require('../lib/frames.js');

/** Most bytes of a CALL or a REPLY. */
const CALL_BYTES = 256 * 1024;
const METHODS = new Set(['variable.get', 'variable.set', 'variable.delete', 'variable.increment']);

/** Carries what the function asks to the gateway and the answers back, one at a time. */
class Calls {
  /**
   * @param {(type: number, payload: Buffer) => void} send to the gateway
   * @param {(payload: Buffer) => void} answer to the worker
   * @param {number} allowed how often an invocation may ask
   */
  constructor(send, answer, allowed) {
    this.send = send;
    this.answer = answer;
    this.allowed = allowed;
    this.count = 0;
    this.waiting = false;
  }

  /**
   * @param {unknown} request what the worker claims that the function asked
   * @returns {boolean} false when it asks for nothing: the function wrote it itself
   */
  ask(request) {
    const { method } = Object(request);
    if (!METHODS.has(method)) return false;
    if (this.allowed === 0) {
      this.refuse('not_available', 'variables are not available here');
    } else if (this.count === this.allowed) {
      this.refuse('too_many_calls', `an invocation may use variables ${this.allowed} times`);
    } else {
      const payload = Buffer.from(JSON.stringify({ ...request, id: this.count + 1 }));
      if (payload.length > CALL_BYTES) return false;
      this.count++;
      this.waiting = true;
      this.send(TYPE.CALL, payload);
    }
    return true;
  }

  /**
   * @param {Buffer} payload the gateway's REPLY
   * @returns {boolean} false when it is to nothing that was asked
   */
  take(payload) {
    if (!this.waiting || idOf(payload) !== this.count) return false;
    this.waiting = false;
    this.answer(payload);
    return true;
  }

  /**
   * @param {string} code
   * @param {string} message
   */
  refuse(code, message) {
    this.answer(Buffer.from(JSON.stringify({ ok: false, error: { code, message } })));
  }
}

/** @param {Buffer} payload */
function idOf(payload) {
  try {
    return Object(JSON.parse(payload.toString())).id;
  } catch {
    return undefined;
  }
}

module.exports = { CALL_BYTES, Calls };
