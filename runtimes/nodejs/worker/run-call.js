'use strict';

const { TYPE } = require('../lib/frames.js');
const helper = require('../cronium/index.js');
const { ask } = require('./calls.js');
const { callHandler, contextOf, findHandler } = require('./handler.js');
const { loadMain } = require('./load.js');
const report = require('./report.js');
const { encode, respond } = require('./respond.js');
const { mergeOutput, printTo } = require('./stdio.js');
const { describe, failure } = require('./trace.js');

const bufferFrom = Buffer.from;
const stringify = JSON.stringify;
const exit = process.exit;
const KEPT_VARIABLES = ['PATH', 'HOME', 'LANG', 'TZ'];

/**
 * Runs one call. Every way in which it can end leads to a frame, or to the end of the process, which the supervisor sees.
 * @param {{ phase: string }} run what `watch` was given
 * @param {string} folder
 * @param {any} call INVOKE's payload
 */
async function runCall(run, folder, call) {
  const { event, limits } = call;
  const name = String(call.handler ?? 'handler')
    .split('.')
    .at(-1);
  const env = call.env ?? {};
  for (const variable of Object.keys(env)) process.env[variable] = env[variable];
  helper[Symbol.for('cronium.bind')]({
    event,
    output: (value) => output(value, limits.responseBytes),
    ask: limits.calls > 0 ? ask : undefined,
  });

  run.phase = 'loading';
  await perform(run, folder, call, name);
}

/** Loads the module, and calls its handler if it has one. */
async function perform(run, folder, call, name) {
  const { code, event, limits } = call;
  // Without these words it exports no handler: its log need not wait until that is known.
  const open = [name, 'default', 'module.exports'].some((word) => code.includes(word));
  if (!open) report.quietly(TYPE.MODE, bufferFrom('s'));
  printTo(open ? 'frames' : 'descriptors');

  let handler;
  try {
    handler = findHandler(await loadMain(folder, code), name);
  } catch (error) {
    return failScript(describe('function_error', error));
  }
  run.phase = handler ? 'handler' : 'script';
  if (handler) mergeOutput();
  if (handler || open) report.quietly(TYPE.MODE, bufferFrom(handler ? 'h' : 's'));
  printTo('descriptors');
  if (!handler) return;

  try {
    await respond(await callHandler(handler, event, contextOf(call)), limits);
  } catch (error) {
    report.end(describe('function_error', error));
  }
}

/** Hides from the function how the process was started. */
function prepareProcess() {
  const { env } = process;
  for (const variable of Object.keys(env)) if (!KEPT_VARIABLES.includes(variable)) delete env[variable];
  process.argv.length = 1;
  process.execArgv = [];
}

/** What ends a function beside its return. @param {{ phase: string }} run */
function watch(run) {
  process.on('uncaughtException', function uncaught(error) {
    // A function that listens for itself decides for itself, as it does without us.
    if (process.listenerCount('uncaughtException') > 1) return;
    const outcome = describe('function_error', error);
    if (run.phase === 'handler') report.end(outcome);
    // While it loads, an ES module's own error comes here and to whoever loads it, who may know better.
    else if (run.phase === 'loading') setImmediate(() => run.phase === 'loading' && failScript(outcome));
    else failScript(outcome);
  });
  process.on('beforeExit', () => {
    if (run.phase === 'handler') {
      report.end(
        failure(
          'function_error',
          'The function ended without an answer: nothing is left that could settle its promise.',
        ),
      );
    } else if (run.phase === 'loading') {
      failScript(
        failure('function_error', 'The function ended without an answer: its top-level await never settles.'),
      );
    }
  });
}

/** @param {{ error: object }} outcome */
function failScript(outcome) {
  report.quietly(TYPE.FAIL, bufferFrom(stringify(outcome.error)));
  exit(1);
}

/** The helper's `output`. */
function output(value, limitBytes) {
  const { json, outcome } = encode(value, limitBytes);
  if (outcome) report.quietly(TYPE.FAIL, bufferFrom(stringify(outcome.error)));
  else report.quietly(TYPE.OUTPUT, bufferFrom(json));
}

module.exports = { perform, prepareProcess, runCall, watch };
