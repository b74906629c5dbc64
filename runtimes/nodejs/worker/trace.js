'use strict';

const path = require('node:path');

const AGENT_FOLDER = path.dirname(__dirname);
/** Node.js's own loading of the module, below the function's frames. */
const LOADER_FRAME = /^\s+at .*\(?node:internal\/(modules|main|process)\//;
const MAX_CAUSES = 5;
/** Bytes are the supervisor's concern; these keep the report from growing huge on the way. */
const MESSAGE_CHARS = 8192;
const TRACE_CHARS = 65_536;

const test = Function.prototype.call.bind(RegExp.prototype.test);
const { split, slice, includes } = String.prototype;
const call = Reflect.apply;

/**
 * An error of the function as END carries it. The function may throw anything, so looking at it may throw too.
 * @param {string} code
 * @param {unknown} thrown
 */
function describe(code, thrown) {
  const isObject = (typeof thrown === 'object' && thrown !== null) || typeof thrown === 'function';
  const type = attempt(
    () => (isObject ? text(thrown.name ?? thrown.constructor?.name) : typeof thrown),
    'Error',
  );
  const message = attempt(
    () => (isObject && thrown.message !== undefined ? text(thrown.message) : plain(thrown)),
    '',
  );
  const trace = attempt(() => traceOf(thrown, 0), undefined);
  return failure(code, message, type, trace);
}

/** @returns {object} without a prototype: see report.js */
function failure(code, message, type, trace) {
  const error = { __proto__: null, code, type, message: call(slice, message, [0, MESSAGE_CHARS]), trace };
  return { __proto__: null, status: 'error', error };
}

/** @param {unknown} thrown */
function plain(thrown) {
  if (typeof thrown !== 'object' || thrown === null) return text(thrown);
  return JSON.stringify(thrown) ?? text(thrown);
}

/** @param {unknown} value */
function text(value) {
  return String(value);
}

/** @returns {string | undefined} */
function traceOf(thrown, depth) {
  if (thrown === null || typeof thrown !== 'object' || typeof thrown.stack !== 'string') return undefined;
  const lines = call(split, call(slice, thrown.stack, [0, TRACE_CHARS]), ['\n']);
  let trace = '';
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index];
    if (call(includes, line, [AGENT_FOLDER]) || test(LOADER_FRAME, line)) continue;
    trace += trace === '' ? line : `\n${line}`;
  }
  const cause = depth < MAX_CAUSES ? attempt(() => traceOf(thrown.cause, depth + 1), undefined) : undefined;
  return cause === undefined ? trace : `${trace}\n[cause]: ${cause}`;
}

/** @template T @param {() => T} look @param {T} otherwise */
function attempt(look, otherwise) {
  try {
    return look();
  } catch {
    return otherwise;
  }
}

module.exports = { describe, failure };
