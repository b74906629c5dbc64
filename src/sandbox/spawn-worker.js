// JavaScript and not TypeScript: a thread would load the type stripper a second time, which is 25 MB for these few lines.
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';

/** @param {import('./spawner.ts').SpawnReport} message */
const report = (message) => parentPort.postMessage(message);

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
    const stdio = [fd, fd, 'pipe', ...opened];
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
