'use strict';

/**
 * The Node.js agent: the process that owns the channel to the gateway (its standard input and output).
 * It runs no code of a function. That happens in a worker process, started first thing so that both boot at once.
 */

const { startWorker } = require('./supervisor/spawn.js');

const worker = startWorker();

const { Channel } = require('./supervisor/channel.js');
const { supervise } = require('./supervisor/supervise.js');
const { WorkerLink } = require('./supervisor/worker-link.js');

supervise(new Channel(0, 1), new WorkerLink(worker));
