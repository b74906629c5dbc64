// JavaScript and not TypeScript: a thread would load the type stripper a second time, which is 25 MB for these few lines.
import { spawn } from 'node:child_process';
import { parentPort } from 'node:worker_threads';

/** @param {import('./spawner.ts').SpawnReport} message */
const report = (message) => parentPort.postMessage(message);

parentPort.on('message', (/** @type {import('./spawner.ts').SpawnOrder} */ { id, command, fd }) => {
  // An empty environment: bwrap clears it too, but /proc shows what it was started with. A session of its own: the terminal's
  // signals are for the gateway.
  const [program, ...args] = command;
  const child = spawn(program, args, { cwd: '/', env: {}, detached: true, stdio: [fd, fd, 'pipe'] });
  child.stderr.on('data', (chunk) => report({ id, stderr: chunk }));
  child.once('error', (error) => {
    report({ id, stderr: Buffer.from(error.message) });
    report({ id, ended: true, killed: false });
  });
  child.once('exit', (_code, signal) => report({ id, ended: true, killed: signal !== null }));
  report({ id, pid: child.pid ?? null });
});
