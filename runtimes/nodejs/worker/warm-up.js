'use strict';

const { mkdirSync, rmSync, symlinkSync, writeFileSync } = require('node:fs');
const Module = require('node:module');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

/**
 * Makes `cronium` importable, and walks through what every call does, so that the first call finds it loaded and compiled.
 * @param {string} folder in which the source will be
 */
async function warmUp(folder) {
  mkdirSync(`${folder}/node_modules`);
  symlinkSync(path.join(__dirname, '../cronium'), `${folder}/node_modules/cronium`);

  const common = `${folder}/warm-common.js`;
  const esm = `${folder}/warm-esm.js`;
  writeFileSync(
    common,
    "console.log('x', 1, {}); console.error('x'); exports.handler = async (event) => ({ ...event });",
  );
  writeFileSync(esm, "import 'node:fs'; export const handler = async (event) => ({ ...event }); await null;");
  await Module._load(common, null, true).handler({ a: 1 });
  Module._load(esm, null, true);
  const { handler } = await import(pathToFileURL(esm).href);
  JSON.parse(JSON.stringify(await handler({ a: [1, 'b', null] })));
  delete require.cache[common];
  delete require.cache[esm];
  rmSync(common);
  rmSync(esm);
}

module.exports = { warmUp };
