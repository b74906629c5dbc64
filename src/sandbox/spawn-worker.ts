import { spawn } from 'node:child_process';
import { parentPort } from 'node:worker_threads';
import type { SpawnOrder, SpawnReport } from './spawner.ts';

const port = parentPort!;
const report = (message: SpawnReport) => port.postMessage(message);

port.on('message', ({ id, command, fd }: SpawnOrder) => {
  // An empty environment: bwrap clears it too, but /proc shows what it was started with. A session of its own: the terminal's
  // signals are for the gateway.
  const child = spawn(command[0]!, command.slice(1), {
    cwd: '/',
    env: {},
    detached: true,
    stdio: [fd, fd, 'pipe'],
  });
  child.stderr!.on('data', (chunk: Buffer) => report({ id, stderr: chunk }));
  child.once('error', (error) => {
    report({ id, stderr: Buffer.from(error.message) });
    report({ id, ended: true });
  });
  child.once('exit', () => report({ id, ended: true }));
  report({ id, pid: child.pid ?? null });
});
