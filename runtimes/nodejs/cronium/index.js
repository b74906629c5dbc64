'use strict';

/**
 * The helper module that a function imports as `cronium`.
 * The worker binds it to the call before it loads the function; unbound, it answers with nothing.
 */

const variables = require('./variables.js');

/** @type {{ event: unknown, output: (value: unknown) => void }} */
let call = { event: undefined, output() {} };

// Plain assignments, so that Node.js finds the names for `import { input } from 'cronium'`.
exports.input = input;
exports.output = output;
exports.event = event;
exports.getVariable = variables.getVariable;
exports.setVariable = variables.setVariable;
exports.deleteVariable = variables.deleteVariable;
exports.incrementVariable = variables.incrementVariable;
exports.updateVariable = variables.updateVariable;
exports.VariableError = variables.VariableError;

/** The request body: parsed if it is JSON, else text, else bytes; null where there is none. */
function input() {
  const { body, isBase64Encoded } = Object(call.event);
  if (typeof body !== 'string') return body ?? null;
  if (!isBase64Encoded) return parsed(body);
  const bytes = Buffer.from(body, 'base64');
  try {
    return parsed(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return bytes;
  }
}

/**
 * Answers with `value` in place of what the script prints; the last call wins.
 * @param {unknown} value
 */
function output(value) {
  call.output(value);
}

/** The whole event. */
function event() {
  return call.event;
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

// Not enumerable: it is the worker's, and `import *` need not show it.
Object.defineProperty(exports, Symbol.for('cronium.bind'), {
  /** @param {{ event: unknown, output: (value: unknown) => void, ask?: (request: object) => Promise<any> }} bound */
  value(bound) {
    call = bound;
    variables.bind(bound.ask);
  },
});
