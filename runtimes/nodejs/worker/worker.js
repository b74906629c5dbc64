'use strict';

/**
 * The process that the function runs in. It boots and warms up before there is a call, waits for one and runs it.
 * What it tells the supervisor counts as the function's word.
 */

const { TYPE } = require('../lib/frames.js');
const report = require('./report.js');
const { installStdio } = require('./stdio.js');
const { prepareProcess, runCall, watch } = require('./run-call.js');
const { warmUp } = require('./warm-up.js');

const folder = process.argv[2];

installStdio(folder);
warmUp(folder).then(() => {
  prepareProcess();
  const run = { phase: 'waiting' };
  watch(run);
  report.send(TYPE.WARM, Buffer.alloc(0));
  const call = JSON.parse(report.receive().toString());
  return runCall(run, folder, call);
});
