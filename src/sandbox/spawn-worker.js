// JavaScript and not TypeScript: a thread would load the type stripper a second time, which is 25 MB for these few lines.
import { spawn } from 'node:child_process';
import { closeSync, constants, openSync, readdirSync, readFileSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';

/** @param {import('./spawner.ts').SpawnReport} message */
const report = (message) => parentPort.postMessage(message);

const CLOSED_ON_EXEC = 0o2000000;

/** Descriptors that this process was started with, such as a lock or a log of a supervisor: what it opens itself is closed on exec. */
const inherited = readdirSync('/proc/self/fd')
  .map(Number)
  .filter((descriptor) => {
    try {
      const flags = /^flags:\s+([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8'))?.[1];
      return descriptor > 2 && (Number.parseInt(flags ?? '', 8) & CLOSED_ON_EXEC) === 0;
    } catch {
      return false; // the one that read the directory
    }
  })
  .sort((one, other) => one - other);
const nothing = openSync('/dev/null', constants.O_RDONLY);

/** With nothing in the place of what is inherited: Node.js itself keeps only the lowest sixteen of it to itself. */
const stdioOf = (/** @type {(number | 'pipe')[]} */ given) => {
  /** @type {(number | 'pipe' | 'ignore')[]} */
  const stdio = [...given];
  for (const descriptor of inherited) {
    while (stdio.length < descriptor) stdio.push('ignore');
    stdio[descriptor] ??= nothing;
  }
  return stdio;
};

parentPort.on('message', (/** @type {import('./spawner.ts').SpawnOrder} */ { id, command, fd, files }) => {
  const opened = [];
  const failed = (/** @type {Error} */ error) => {
    report({ id, stderr: Buffer.from(error.message) });
    report({ id, ended: true, killed: false });
  };
  try {
    for (const path of files) opened.push(openSync(path, 'r'));
    // An empty environment: bwrap clears it too, but /proc shows what it was started with. A session of its own: the terminal's
    // signals are for the gateway.
    const [program, ...args] = command;
    const stdio = stdioOf([fd, fd, 'pipe', ...opened]);
    const child = spawn(program, args, { cwd: '/', env: {}, detached: true, stdio });
    child.stderr.on('data', (chunk) => report({ id, stderr: chunk }));
    child.once('error', failed);
    child.once('exit', (_code, signal) => report({ id, ended: true, killed: signal !== null }));
    report({ id, pid: child.pid ?? null });
  } catch (error) {
    report({ id, pid: null });
    failed(error);
  } finally {
    for (const file of opened) closeSync(file);
  }
});
