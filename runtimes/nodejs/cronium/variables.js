'use strict';

/** The variables of the helper module: values by name that later invocations find again. */

const VALUE_BYTES = 64 * 1024;
const NAME_CHARS = 128;
/** Of somebody else's changes in a row, until an update is given up. */
const ATTEMPTS = 100;

/** A variable could not be read or written; `code` says why. */
class VariableError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.name = 'VariableError';
    this.code = code;
  }
}

/** @type {((request: object) => Promise<any>) | undefined} */
let send;

/** @param {typeof send} bound how the worker asks; undefined where there are no variables */
function bind(bound) {
  send = bound;
}

/**
 * @param {string} method
 * @param {unknown} name
 * @param {object} [more]
 */
async function ask(method, name, more) {
  if (send === undefined) throw new VariableError('not_available', 'variables are not available here');
  if (typeof name !== 'string' || name.length === 0 || name.length > NAME_CHARS) {
    const message = `the name of a variable is a text of 1 to ${NAME_CHARS} characters`;
    throw new VariableError('invalid_name', message);
  }
  let answer;
  try {
    answer = await send({ method: `variable.${method}`, name, ...more });
  } catch (error) {
    throw new VariableError('unavailable', error.message);
  }
  if (answer.ok === true) return answer;
  throw new VariableError(answer.error.code, answer.error.message);
}

/**
 * The value of a variable; undefined where there is none.
 * @param {string} name
 */
async function getVariable(name) {
  return decoded(await ask('get', name));
}

/**
 * Keeps a value that JSON can hold, at most 64 KiB of it.
 * @param {string} name
 * @param {unknown} value
 */
async function setVariable(name, value) {
  await ask('set', name, { value: encode(value) });
}

/**
 * Removes a variable; false where there is none.
 * @param {string} name
 */
async function deleteVariable(name) {
  return (await ask('delete', name)).existed;
}

/**
 * Adds to a number, which is 0 where there is none, in one step; resolves to the sum.
 * @param {string} name
 * @param {number} by
 */
async function incrementVariable(name, by = 1) {
  if (typeof by !== 'number' || !Number.isFinite(by))
    throw new VariableError('invalid_value', 'a variable is incremented by a number');
  return decoded(await ask('increment', name, { by }));
}

/**
 * Sets a variable to what `change` makes of its value, again if somebody else was faster; resolves to the new value.
 * @param {string} name
 * @param {(value: any) => unknown} change
 */
async function updateVariable(name, change) {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const before = await ask('get', name);
    const value = await change(decoded(before));
    try {
      await ask('set', name, { value: encode(value), revision: before.revision ?? null });
      return value;
    } catch (error) {
      if (error.code !== 'conflict') throw error;
    }
  }
  throw new VariableError('conflict', `the variable ${name} is changed by others all the time`);
}

/** @param {{ value?: string }} answer */
function decoded({ value }) {
  return value === undefined ? undefined : JSON.parse(value);
}

/** @param {unknown} value */
function encode(value) {
  let json;
  try {
    json = JSON.stringify(value);
  } catch (error) {
    throw new VariableError('invalid_value', `the value of a variable is no JSON: ${error.message}`);
  }
  if (json === undefined)
    throw new VariableError('invalid_value', `the value of a variable is JSON, not ${typeof value}`);
  if (Buffer.byteLength(json) > VALUE_BYTES)
    throw new VariableError(
      'value_too_large',
      `the value of a variable is at most ${VALUE_BYTES} bytes as JSON`,
    );
  return json;
}

module.exports = {
  VariableError,
  bind,
  deleteVariable,
  getVariable,
  incrementVariable,
  setVariable,
  updateVariable,
};
