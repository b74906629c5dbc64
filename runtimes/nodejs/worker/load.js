'use strict';

const { writeFileSync } = require('node:fs');
const Module = require('node:module');
const { pathToFileURL } = require('node:url');

const SyntaxErrorOfNode = SyntaxError;

/**
 * Loads the source as Node.js loads the file it is started with: ES module or CommonJS by syntax, `require.main` and
 * `import.meta.main` set, top-level await. If it does not parse it may be TypeScript; JavaScript pays nothing for that.
 * @param {string} folder
 * @param {string} code
 * @returns {Promise<unknown>} what the module exports
 */
async function loadMain(folder, code) {
  try {
    return await loadFile(`${folder}/main.js`, code);
  } catch (error) {
    if (!(error instanceof SyntaxErrorOfNode)) throw error;
    if (isTypeScript(code)) return await loadFile(`${folder}/main.ts`, code);
    throw located(error, folder);
  }
}

/**
 * @param {string} file
 * @param {string} code
 */
async function loadFile(file, code) {
  writeFileSync(file, code);
  process.argv[1] = file;
  const exported = Module._load(file, null, true);
  // Node.js unsets it when the file turns out to be an ES module, which it then loads in the background.
  if (process.mainModule !== undefined) return exported;
  return await import(pathToFileURL(file).href);
}

/**
 * Whether there are types to strip. What strips to itself was JavaScript, and failed for a reason of its own.
 * @param {string} code
 */
function isTypeScript(code) {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return Module.stripTypeScriptTypes(code) !== code;
  } catch (error) {
    // TypeScript that has to be compiled, such as an enum: loading it says so.
    return error?.code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX';
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** For ES modules Node.js keeps the place of a syntax error to itself until it prints it. */
function located(error, folder) {
  if (String(error.stack).includes(`${folder}/main.js:`)) return error;
  const { spawnSync } = require('node:child_process');
  const { stderr } = spawnSync(process.execPath, ['--check', `${folder}/main.js`], {
    encoding: 'utf8',
    timeout: 5000,
  });
  if (stderr) error.stack = stderr.split('\n    at ')[0];
  return error;
}

module.exports = { loadMain };
