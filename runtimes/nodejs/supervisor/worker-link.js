'use strict';

const { readSync, rmSync } = require('node:fs');
const { Socket } = require('node:net');
const { FrameReader, header } = require('../lib/frames.js');

/** More than a pipe holds: a background process that prints without end cannot keep a drain going. */
const DRAIN_BYTES = 1024 * 1024;
const DRAIN_CHUNK_BYTES = 64 * 1024;

/**
 * @typedef {object} LinkEvents
 * @property {(type: number) => number} limitOf
 * @property {(type: number, payload: Buffer) => void} frame
 * @property {(type: number, length: number) => void} fault
 * @property {(fd: 1 | 2, chunk: Buffer) => void} printed
 * @property {(read: () => void) => void} batch reads frames that came together
 * @property {() => void} channelClosed
 * @property {(code: number | null, signal: string | null) => void} exited
 */

/** The worker process as the supervisor sees it: frames, what it prints, and its end. */
class WorkerLink {
  /** @param {ReturnType<typeof import('./spawn.js').startWorker>} worker */
  constructor({ child, taskFolder, pipes }) {
    this.child = child;
    this.taskFolder = taskFolder;
    /** @type {Socket} */
    this.frames = child.stdio[3];
    const named = pipes.map((fd) => new Socket({ fd, readable: true, writable: false }));
    /** Everything that the function's descriptors 1 and 2 may lead to. */
    this.prints = [
      { fd: 1, socket: child.stdio[1] },
      { fd: 2, socket: child.stdio[2] },
      ...named.map((socket, index) => ({ fd: index + 1, socket })),
    ];
    this.all = [this.frames, ...this.prints.map(({ socket }) => socket)];
  }

  /** @param {LinkEvents} events */
  on(events) {
    this.reader = new FrameReader(events.limitOf, events.frame, events.fault);
    this.frames.on('data', (chunk) => {
      events.batch(() => this.reader.push(chunk));
    });
    this.frames.on('end', () => events.channelClosed());
    for (const { fd, socket } of this.prints) socket.on('data', (chunk) => events.printed(fd, chunk));
    // A worker that is killed resets its sockets. Its exit is what tells.
    for (const socket of this.all) socket.on('error', () => {});
    this.child.on('error', (error) => {
      events.printed(2, Buffer.from(`${error.message}\n`));
      events.exited(null, null);
    });
    this.child.on('exit', (code, signal) => events.exited(code, signal));
  }

  /**
   * @param {number} type
   * @param {Buffer} payload
   */
  send(type, payload) {
    this.frames.cork();
    this.frames.write(header(type, payload.length));
    this.frames.write(payload);
    this.frames.uncork();
  }

  /** Leaves what the worker writes where it is, so that it has to wait. */
  pause() {
    for (const socket of this.all) socket.pause();
  }

  resume() {
    for (const socket of this.all) socket.resume();
  }

  /** Takes the frames that have been written up to now, without waiting for more. */
  drainFrames() {
    drain(this.frames);
  }

  /** Takes what has been printed up to now, without waiting for more. */
  drainPrints() {
    for (const { socket } of this.prints) drain(socket);
  }

  /** Ends the worker and whatever stayed in its process group. */
  kill() {
    const { pid } = this.child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // Gone already.
    }
  }

  removeTaskFolder() {
    try {
      rmSync(this.taskFolder, { recursive: true, force: true });
    } catch {
      // A function may have made it unremovable; it goes with the sandbox.
    }
  }
}

/** @type {Buffer | undefined} */
let scratch;

/** @param {Socket} socket */
function drain(socket) {
  // What was read before a pause; `read` hands it to the listener by itself.
  while (socket.read() !== null);
  for (let bytes = 0; bytes < DRAIN_BYTES; ) {
    const fd = socket._handle?.fd ?? -1;
    if (fd < 0) return;
    scratch ??= Buffer.allocUnsafe(DRAIN_CHUNK_BYTES);
    let length = 0;
    try {
      length = readSync(fd, scratch);
    } catch {
      return; // EAGAIN: nothing there now.
    }
    if (length === 0) return;
    bytes += length;
    socket.emit('data', Buffer.from(scratch.subarray(0, length)));
  }
}

module.exports = { WorkerLink };
