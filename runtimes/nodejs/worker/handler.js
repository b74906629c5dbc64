'use strict';

const PromiseOfNode = Promise;
const { now } = Date;

/**
 * The handler among what a module exports: by the name it was deployed with, else the default export.
 * @param {any} exported
 * @param {string} name
 * @returns {Function | undefined}
 */
function findHandler(exported, name) {
  // `export default { handler }` and transpiled modules keep it one level down.
  for (const found of [exported?.[name], exported?.default, exported?.default?.[name], exported]) {
    if (typeof found === 'function') return found;
  }
  return undefined;
}

/**
 * What AWS Lambda's context object has for a function that only looks.
 * @param {{ invocationId: string, functionName: string, functionVersion: string, memoryMb: number, deadlineMs: number }} call
 */
function contextOf(call) {
  return {
    awsRequestId: call.invocationId,
    functionName: call.functionName,
    functionVersion: String(call.functionVersion),
    memoryLimitInMB: String(call.memoryMb),
    callbackWaitsForEmptyEventLoop: false,
    getRemainingTimeInMillis: () => Math.max(0, call.deadlineMs - now()),
  };
}

/**
 * Calls the handler. One that takes three parameters and returns nothing answers through its callback.
 * @param {Function} handler
 * @param {unknown} event
 * @param {object} context
 * @returns {Promise<unknown>}
 */
async function callHandler(handler, event, context) {
  // Awaited here: returning a promise would call its `then`, which a function may have replaced.
  if (handler.length < 3) return await handler(event, context);
  let settle;
  const answer = new PromiseOfNode((resolve, reject) => {
    settle = (error, value) => {
      if (error !== null && error !== undefined) reject(error);
      else resolve(value);
    };
  });
  const returned = handler(event, context, settle);
  return await (returned === undefined ? answer : returned);
}

module.exports = { callHandler, contextOf, findHandler };
