'use strict';

const { writeSync } = require('node:fs');
const { TYPE } = require('../lib/frames.js');
const { oomKills } = require('./memory.js');
const { rehearse } = require('./rehearse.js');
const { Run } = require('./run.js');

/** Of what a worker prints before a call. It is shown when the sandbox does not boot. */
const BOOT_LOG_BYTES = 4096;

/**
 * Greets, hands the call over and sees it through. Ends the process when the channel closes or the sandbox is of no use.
 * @param {import('./channel.js').Channel} channel
 * @param {import('./worker-link.js').WorkerLink} link
 */
function supervise(channel, link) {
  /** @type {Run | undefined} */
  let run;
  let greeted = false;
  let warm = false;
  /** An INVOKE that came before the worker was warm. */
  let early;
  let bootLog = '';
  let oomKillsBefore = 0;

  /** @param {string} [why] */
  const quit = (why) => {
    link.kill();
    link.removeTaskFolder();
    if (why !== undefined) writeSync(2, `cronium agent: ${why}\n${bootLog}`);
    process.exit(why === undefined ? 0 : 1);
  };

  const greet = () => {
    if (!greeted || !warm) return;
    channel.sendJson(TYPE.READY, {
      protocol: 1,
      runtime: 'nodejs',
      runtimeVersion: process.versions.node,
      features: ['variables'],
    });
    if (early) invoke(early);
  };

  /** @param {Buffer} payload */
  const invoke = (payload) => {
    // First of all: the worker reads and parses while the supervisor does.
    link.send(TYPE.INVOKE, payload);
    const call = parse(payload);
    if (typeof call?.code !== 'string') return quit('INVOKE is not a call');
    run = new Run(channel, link, oomKillsBefore, call);
  };

  channel.onClose = () => quit(channel.cutOff ? 'the channel closed within a frame' : undefined);
  channel.onDrain = () => link.resume();
  channel.listen((type, payload) => {
    if (type === TYPE.HELLO && !greeted) {
      if (parse(payload)?.protocol !== 1) return quit('unknown protocol');
      greeted = true;
      greet();
    } else if (type === TYPE.INVOKE && greeted && !run && !early) {
      if (warm) invoke(payload);
      else early = payload;
    } else if (type === TYPE.REPLY && run?.reply(payload)) {
      // It was waited for.
    } else {
      quit('a frame out of order');
    }
  }, quit);

  // While the worker boots there is time.
  rehearse();
  link.on({
    limitOf(type) {
      if (run) return run.limitOf(type);
      return type === TYPE.WARM && !warm ? 0 : -1;
    },
    frame(type, payload) {
      if (run) return run.frame(type, payload);
      warm = true;
      oomKillsBefore = oomKills();
      // There is nothing yet: it is only to have it compiled.
      link.drainPrints();
      greet();
    },
    fault(type, length) {
      if (run) run.fault(type, length);
      else quit('the worker broke the protocol');
    },
    printed(fd, chunk) {
      if (run) run.printed(fd, chunk);
      else bootLog = (bootLog + chunk.toString()).slice(-BOOT_LOG_BYTES);
    },
    batch(read) {
      // An answer and its end leave in one write.
      channel.hold();
      read();
      channel.flush();
    },
    channelClosed: () => run?.channelClosed(),
    exited(code, signal) {
      if (run) run.exited(code, signal);
      else quit(`the worker ended (${signal ?? code}) before a call`);
    },
  });
}

/** @param {Buffer} payload */
function parse(payload) {
  try {
    return JSON.parse(payload.toString());
  } catch {
    return undefined;
  }
}

module.exports = { supervise };
