'use strict';

/** While it is open whether this is a script, its stderr waits for so long, to keep its place among its stdout. */
const UNDECIDED_MS = 100;
const UNDECIDED_BYTES = 64 * 1024;

/**
 * What a function printed, told apart: a handler's goes to the log as it comes; a script's stdout waits for its end,
 * when it turns out to be the response, or else log.
 */
class Printed {
  /**
   * @param {import('./log.js').Log} log
   * @param {number} limitBytes of a script's stdout
   */
  constructor(log, limitBytes) {
    this.log = log;
    this.limitBytes = limitBytes;
    /** @type {'handler' | 'script' | undefined} */
    this.mode = undefined;
    /** Whether stdout cannot be the response any more. */
    this.allLog = false;
    /** In the order of printing. @type {{ fd: 1 | 2, chunk: Buffer }[]} */
    this.waiting = [];
    this.outBytes = 0;
    this.errBytes = 0;
  }

  /** @param {'handler' | 'script'} mode what looked like a script may turn out to be a handler, not the other way round */
  decide(mode) {
    if (this.mode === 'handler') return;
    this.mode = mode;
    if (mode === 'handler') this.giveUpResponse();
    else this.releaseErr();
  }

  /** What was and will be printed is log. */
  giveUpResponse() {
    this.allLog = true;
    this.toLog();
  }

  /**
   * @param {1 | 2} fd
   * @param {Buffer} chunk
   */
  write(fd, chunk) {
    if (this.allLog || (fd === 2 && (this.mode === 'script' || this.waiting.length === 0))) {
      this.log.write(chunk);
      return;
    }
    if (fd === 1) this.outBytes += chunk.length;
    else this.errBytes += chunk.length;
    // Past the limit the call ends, and what is kept is only ever log.
    if (this.overflowed && this.outBytes - chunk.length > this.limitBytes)
      this.log.droppedBytes += chunk.length;
    else this.waiting.push({ fd, chunk });
    if (fd === 1) return;
    if (this.errBytes > UNDECIDED_BYTES) this.releaseErr();
    else this.timer ??= setTimeout(() => this.releaseErr(), UNDECIDED_MS);
  }

  /** Whether a script's stdout is more than may be sent. */
  get overflowed() {
    return this.outBytes > this.limitBytes;
  }

  releaseErr() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.errBytes = 0;
    const all = this.waiting;
    this.waiting = all.filter(({ fd }) => fd === 1);
    for (const { fd, chunk } of all) if (fd === 2) this.log.write(chunk);
  }

  /** Everything that waits is log. */
  toLog() {
    clearTimeout(this.timer);
    const all = this.waiting;
    this.waiting = [];
    this.outBytes = 0;
    for (const { chunk } of all) this.log.write(chunk);
  }

  /** A script's stdout, as its response. */
  response() {
    this.releaseErr();
    return { chunks: this.waiting.map(({ chunk }) => chunk) };
  }
}

module.exports = { Printed };
