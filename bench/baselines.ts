import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type Docker from 'dockerode';
import type { Runtime } from '../src/core/event.ts';
import { INTERPRETER } from './functions.ts';
import { type Summary, timed, timeEach } from './stats.ts';

const run = promisify(execFile);
const PAUSE_MS = 20;

/** What people do without a gateway: a container per request by the command line. */
export function dockerRun(
  image: string,
  runtime: Runtime,
  times: number,
  ociRuntime: string,
): Promise<Summary> {
  const [program, ...args] = INTERPRETER[runtime];
  const flags = [
    'run',
    '--rm',
    '--network',
    'none',
    '--read-only',
    '--cap-drop',
    'ALL',
    '--runtime',
    ociRuntime,
    '--entrypoint',
    program!,
  ];
  return timeEach(times, PAUSE_MS, () => timed(() => run('docker', [...flags, image, ...args])));
}

/** … or a new process in a container that is kept, by the engine's API: quick, and every call meets the leftovers of the last. */
export async function dockerExec(
  docker: Docker,
  image: string,
  runtime: Runtime,
  times: number,
  ociRuntime: string,
): Promise<Summary> {
  const container = await docker.createContainer({
    Image: image,
    Entrypoint: ['sleep'],
    Cmd: ['infinity'],
    HostConfig: { NetworkMode: 'none', Init: true, Runtime: ociRuntime },
  });
  try {
    await container.start();
    return await timeEach(times, PAUSE_MS, () => timed(() => execOnce(container, INTERPRETER[runtime])));
  } finally {
    await container.remove({ force: true });
  }
}

async function execOnce(container: Docker.Container, command: readonly string[]): Promise<void> {
  const exec = await container.exec({ Cmd: [...command], AttachStdout: true, AttachStderr: true });
  const output = await exec.start({});
  output.resume();
  await new Promise((resolve) => output.once('end', resolve));
}
