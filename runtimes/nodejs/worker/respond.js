'use strict';

const { TYPE } = require('../lib/frames.js');
const { describe, failure } = require('./trace.js');
const report = require('./report.js');

const FRAME_BYTES = 1024 * 1024;

const bufferFrom = Buffer.from;
const byteLength = Buffer.byteLength;
const isView = ArrayBuffer.isView;
const stringify = JSON.stringify;
const RangeErrorOfNode = RangeError;
const OK = { __proto__: null, status: 'ok' };
const TOO_LARGE = 'The response is larger than the limit.';

/**
 * Sends what a handler returned, as a whole or as a stream, and the end.
 * @param {unknown} value
 * @param {{ responseBytes: number, streamBytes: number }} limits
 */
async function respond(value, limits) {
  if (isBytes(value) || isIterable(value)) return await stream(undefined, value, limits);
  if (isHead(value) && (isBytes(value.body) || isIterable(value.body))) {
    return await stream(value, value.body, limits);
  }
  const { json, outcome } = encode(value, limits.responseBytes);
  if (outcome) report.end(outcome);
  else report.result(json);
}

/**
 * @param {unknown} value
 * @param {number} limitBytes
 * @returns {{ json: string, outcome?: undefined } | { json?: undefined, outcome: object }}
 */
function encode(value, limitBytes) {
  let json;
  try {
    json = value === undefined ? 'null' : stringify(value);
  } catch (error) {
    // A text of more than V8's limit on the length of strings.
    if (error instanceof RangeErrorOfNode && error.message === 'Invalid string length') {
      return { outcome: failure('response_too_large', TOO_LARGE) };
    }
    return { outcome: describe('invalid_response', error) };
  }
  if (json === undefined) return { outcome: invalid(`A ${typeof value} cannot be JSON.`) };
  if (json.length > limitBytes || byteLength(json) > limitBytes) {
    return { outcome: failure('response_too_large', TOO_LARGE) };
  }
  return { json };
}

/** HEAD goes with the first chunk, so that a stream that fails before it can still be answered with an error. */
async function stream(head, body, limits) {
  let left = limits.streamBytes;
  let headSent = false;
  let first = true;
  const sendHead = (from, contentType) => {
    headSent = true;
    const payload = bufferFrom(stringify(headOf(from, contentType)));
    if (payload.length > 65_536) throw new InvalidResponse('The headers are larger than 64 KiB.');
    report.send(TYPE.HEAD, payload);
  };
  try {
    const iterator = isBytes(body)
      ? once(body)
      : (body[Symbol.asyncIterator] ?? body[Symbol.iterator]).call(body);
    for (;;) {
      const { done, value } = await iterator.next();
      if (done) break;
      if (first && !head && isHead(value)) {
        head = value;
        first = false;
        continue;
      }
      first = false;
      const bytes = bytesOf(value);
      if (bytes.length > left) return report.end(failure('response_too_large', TOO_LARGE));
      left -= bytes.length;
      if (!headSent) sendHead(head, typeof value === 'string' ? TEXT : BINARY);
      for (let at = 0; at < bytes.length; at += FRAME_BYTES) {
        await report.sendAsync(TYPE.DATA, bytes.subarray(at, at + FRAME_BYTES));
      }
    }
    if (!headSent) sendHead(head, BINARY);
    report.end(OK);
  } catch (error) {
    report.end(error instanceof InvalidResponse ? invalid(error.message) : describe('function_error', error));
  }
}

const TEXT = 'text/plain; charset=utf-8';
const BINARY = 'application/octet-stream';

async function* once(bytes) {
  yield bytes;
}

/** @param {unknown} value */
function isBytes(value) {
  return isView(value) || value instanceof ArrayBuffer || value instanceof SharedArrayBuffer;
}

/** A stream or a generator. Arrays, maps and sets are values. @param {unknown} value */
function isIterable(value) {
  if (value === null || typeof value !== 'object') return false;
  if (typeof value[Symbol.asyncIterator] === 'function') return true;
  return typeof value[Symbol.iterator] === 'function' && typeof value.next === 'function';
}

/** @param {unknown} value */
function isHead(value) {
  return value !== null && typeof value === 'object' && 'statusCode' in value && !isBytes(value);
}

/** The head of a response object in the form of the protocol. */
function headOf(given, contentType) {
  const { statusCode = 200, headers = {}, cookies = [] } = given ?? {};
  const status = Number(statusCode);
  if (!Number.isInteger(status) || status < 100 || status > 599) {
    throw new InvalidResponse(`statusCode is ${String(statusCode)}.`);
  }
  if (!Array.isArray(cookies)) throw new InvalidResponse('cookies is not an array.');
  /** @type {Record<string, string>} */
  const lowered = { __proto__: null };
  for (const [name, value] of Object.entries(headers ?? {})) {
    lowered[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : String(value);
  }
  if (!given) lowered['content-type'] = contentType;
  return { __proto__: null, statusCode: status, headers: lowered, cookies: cookies.map(String) };
}

/** @param {unknown} chunk */
function bytesOf(chunk) {
  if (typeof chunk === 'string') return bufferFrom(chunk);
  if (isView(chunk)) return bufferFrom(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  if (isBytes(chunk)) return bufferFrom(chunk);
  throw new InvalidResponse(
    `A chunk of a stream is text or bytes, not ${chunk === null ? 'null' : typeof chunk}.`,
  );
}

class InvalidResponse extends Error {}

/** @param {string} message */
function invalid(message) {
  return failure('invalid_response', message, 'TypeError');
}

module.exports = { encode, respond };
