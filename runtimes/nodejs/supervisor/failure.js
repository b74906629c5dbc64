'use strict';

const CODES = new Set(['function_error', 'out_of_memory', 'invalid_response', 'response_too_large']);
/** Most bytes of the texts in END. */
const TYPE_BYTES = 1024;
const MESSAGE_BYTES = 8192;
const TRACE_BYTES = 65_536;

/** V8's last words when a heap is full. */
const HEAP_FULL = 'JavaScript heap out of memory';

/**
 * A failure as END carries it, out of what a worker claims.
 * @param {unknown} claimed
 */
function failureOf(claimed) {
  const { code, type, message, trace } = Object(claimed);
  return {
    code: CODES.has(code) ? code : 'function_error',
    ...(typeof type === 'string' && { type: cut(type, TYPE_BYTES) }),
    message: cut(typeof message === 'string' ? message : 'The function failed.', MESSAGE_BYTES),
    ...(typeof trace === 'string' && { trace: cut(trace, TRACE_BYTES) }),
  };
}

/**
 * Why a process that ended without a word may have done so.
 * @param {{ code: number | null, signal: string | null }} exit
 * @param {string} lastWords the end of what it printed
 * @param {boolean} oomKilled whether the kernel has killed for want of memory since the call began
 */
function failureOfExit(exit, lastWords, oomKilled) {
  if (exit.signal === 'SIGKILL' && oomKilled) {
    return { code: 'out_of_memory', message: 'The kernel ended the function: it used up its memory.' };
  }
  if (exit.signal !== null && lastWords.includes(HEAP_FULL)) {
    return {
      code: 'out_of_memory',
      message: 'The function used up its memory: the JavaScript heap is full.',
    };
  }
  const how = exit.signal === null ? `exited with code ${exit.code}` : `was ended by ${exit.signal}`;
  return { code: 'function_error', message: `The function's process ${how} before it answered.` };
}

/**
 * The beginning of a text, in UTF-8 bytes. JSON may need up to six bytes for one, so this counts them as JSON writes them:
 * END as a whole has a limit too.
 * @param {string} text
 * @param {number} limitBytes
 */
function cut(text, limitBytes) {
  const kept = text.slice(0, limitBytes).toWellFormed();
  const encoded = Buffer.byteLength(JSON.stringify(kept));
  if (encoded <= limitBytes) return kept;
  return kept.slice(0, Math.floor(kept.length * (limitBytes / encoded) * 0.9)).toWellFormed();
}

module.exports = { failureOf, failureOfExit };
