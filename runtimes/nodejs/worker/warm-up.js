'use strict';

const { mkdirSync, rmSync, symlinkSync } = require('node:fs');
const path = require('node:path');
const report = require('./report.js');
const { perform } = require('./run-call.js');
const { printTo, separateOutput } = require('./stdio.js');

const PRINTS = "console.log('x', 1, {}); console.error('x');";
/** One of each kind, with what most functions do. */
const REHEARSALS = [
  `${PRINTS} exports.handler = async (event) => ({ ...event });`,
  `import 'node:fs'; ${PRINTS} export const handler = async (event) => JSON.parse(JSON.stringify(event)); await null;`,
  `${PRINTS} // handler`,
];

const LIMITS = { logBytes: 1000, responseBytes: 1000, streamBytes: 1000 };
const CALL = { functionName: '', functionVersion: '', event: { a: [1, 'b', null] }, limits: LIMITS };

/**
 * Makes `cronium` importable, and plays whole calls, so that the first real one finds everything loaded and compiled.
 * @param {string} folder in which the source will be
 */
async function warmUp(folder) {
  mkdirSync(`${folder}/node_modules`);
  symlinkSync(path.join(__dirname, '../cronium'), `${folder}/node_modules/cronium`);

  const stage = `${folder}/warm-up`;
  mkdirSync(stage);
  for (const [index, code] of REHEARSALS.entries()) {
    mkdirSync(`${stage}/${index}`);
    await report.rehearse(() => perform({ phase: '' }, `${stage}/${index}`, { ...CALL, code }, 'handler'));
    separateOutput();
    delete require.cache[`${stage}/${index}/main.js`];
  }
  printTo('dropped');
  rmSync(stage, { recursive: true });
}

module.exports = { warmUp };
