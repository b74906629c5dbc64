'use strict';

const { readFileSync } = require('node:fs');

/** More than this is "no limit" in cgroup v1's way of writing it. */
const UNLIMITED_BYTES = 2 ** 50;

/**
 * How much memory the sandbox may use, in bytes: `CRONIUM_MEMORY_MB` if it is set, else the cgroup's limit.
 * @returns {number | undefined} undefined if nothing limits it
 */
function memoryLimitBytes() {
  const given = Number(process.env.CRONIUM_MEMORY_MB);
  if (given > 0) return given * 2 ** 20;
  for (const file of ['/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes']) {
    const bytes = Number(read(file));
    if (bytes > 0 && bytes < UNLIMITED_BYTES) return bytes;
  }
  return undefined;
}

/**
 * How many processes of this cgroup the kernel has killed for want of memory.
 * cgroup v2 writes it in memory.events, v1 in memory.oom_control, both as `oom_kill N`.
 */
function oomKills() {
  for (const file of ['/sys/fs/cgroup/memory.events', '/sys/fs/cgroup/memory/memory.oom_control']) {
    const found = /^oom_kill (\d+)$/m.exec(read(file));
    if (found) return Number(found[1]);
  }
  return 0;
}

/** @param {string} file */
function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

module.exports = { memoryLimitBytes, oomKills };
