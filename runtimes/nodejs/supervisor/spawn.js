'use strict';

const { spawn, spawnSync } = require('node:child_process');
const { constants, mkdirSync, mkdtempSync, openSync } = require('node:fs');
const { memoryLimitBytes } = require('./memory.js');

/** What the supervisor, the bare process and V8's memory outside of the old generation take together, in MiB. */
const OVERHEAD_MB = 96;

/**
 * Starts the process in which the function will run. It gets nothing of the agent's environment and descriptors,
 * and a session of its own: signals that a function sends to its process group do not hit the supervisor.
 * @returns {{ child: import('node:child_process').ChildProcess, taskFolder: string, pipes: number[] }}
 */
function startWorker() {
  const taskFolder = makeTaskFolder();
  // Before the worker, which opens them as it boots.
  const pipes = makePipes(taskFolder);
  const { PATH, LANG, TZ } = process.env;
  const env = {
    PATH: PATH ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: '/tmp',
    LANG: LANG ?? 'C.UTF-8',
    TZ: TZ ?? 'UTC',
  };
  const script = `${__dirname}/../worker/worker.js`;
  const child = spawn(process.execPath, [...heapFlags(), script, taskFolder], {
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  return { child, taskFolder, pipes };
}

/** A name that traces can show; another one only where several agents share a temporary folder. */
function makeTaskFolder() {
  const base = process.env.TMPDIR ?? '/tmp';
  try {
    mkdirSync(`${base}/task`, { mode: 0o700 });
    return `${base}/task`;
  } catch {
    return mkdtempSync(`${base}/task-`);
  }
}

/**
 * Named pipes for the function's descriptors 1 and 2. Node.js can only start a process with
 * sockets, of which `/dev/stdout` cannot be opened; and it has no dup2, but by closing and opening a descriptor the worker
 * can put both on one pipe, which is what keeps the prints of a handler and its children in order.
 * @returns {number[]} descriptors of the reading ends; none if the system has no `mkfifo`, and the sockets serve
 */
function makePipes(folder) {
  const names = [`${folder}/stdout`, `${folder}/stderr`];
  try {
    if (spawnSync('mkfifo', names, { stdio: 'ignore' }).status !== 0) return [];
    // For writing too, so that it never comes to its end while nobody has it open.
    return names.map((name) => openSync(name, constants.O_RDWR | constants.O_NONBLOCK));
  } catch {
    return [];
  }
}

/** V8 must give up before the kernel does: then the function's process says why it ended, and it alone ends. */
function heapFlags() {
  const limitBytes = memoryLimitBytes();
  if (limitBytes === undefined) return [];
  const limitMb = limitBytes / 2 ** 20;
  const oldSpaceMb = Math.round(Math.max(limitMb * 0.4, limitMb * 0.9 - OVERHEAD_MB));
  // V8 sizes the young generation by the host's memory, which is not ours.
  return [`--max-old-space-size=${oldSpaceMb}`, `--max-semi-space-size=${limitMb < 256 ? 4 : 8}`];
}

module.exports = { startWorker };
