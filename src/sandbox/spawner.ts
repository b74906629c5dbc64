import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { Tail } from './tail.ts';

/** What the thread is told, and what it tells. */
export interface SpawnOrder {
  id: number;
  command: readonly string[];
  /** Becomes the process's standard input and output. */
  fd: number;
  /** Files that the process gets, opened for reading, as its descriptors from 3 on. */
  files: readonly string[];
}
export type SpawnReport = { id: number } & (
  | { pid: number | null }
  | { stderr: Uint8Array }
  | { ended: true; killed: boolean }
);

/** A process that another thread started. */
export interface Spawned {
  /** `undefined` when it could not be started; `stderr` then says why. */
  readonly pid: number | undefined;
  /** Its standard input and output. */
  readonly channel: Socket;
  /** Resolves when the process has been reaped. */
  readonly ended: Promise<void>;
  readonly hasEnded: boolean;
  /** It ended by a signal, and had no say in it. */
  readonly wasKilled: boolean;
  stderr(): string;
}

class SpawnedProcess implements Spawned {
  readonly channel: Socket;
  readonly started: Promise<void>;
  readonly ended: Promise<void>;
  readonly #stderr = new Tail();
  readonly #markStarted: () => void;
  readonly #markEnded: () => void;
  pid: number | undefined;
  hasEnded = false;
  wasKilled = false;

  constructor(channel: Socket) {
    this.channel = channel;
    const started = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    this.started = started.promise;
    this.ended = ended.promise;
    this.#markStarted = started.resolve;
    this.#markEnded = ended.resolve;
  }

  stderr(): string {
    return this.#stderr.text();
  }

  hear(report: SpawnReport): void {
    if ('stderr' in report) this.#stderr.append(Buffer.from(report.stderr));
    else if ('pid' in report) {
      this.pid = report.pid ?? undefined;
      this.#markStarted();
    } else {
      this.hasEnded = true;
      this.wasKilled = report.killed;
      this.#markEnded();
    }
  }
}

/**
 * Starts processes on another thread. Starting one blocks the thread that does it until the new program runs, which is milliseconds in a
 * process as large as the gateway; no call may wait for that. The process's standard input and output are a socket whose other end is
 * here, so that the other thread has no part in a call.
 */
export class Spawner {
  readonly #worker: Worker;
  readonly #server: Server;
  readonly #directory: string;
  readonly #processes = new Map<number, SpawnedProcess>();
  /** Pairs are made one at a time, so that both ends are of the same pair. */
  #pairing: Promise<unknown> = Promise.resolve();
  #count = 0;

  private constructor(worker: Worker, server: Server, directory: string) {
    this.#worker = worker;
    this.#server = server;
    this.#directory = directory;
    worker.on('message', (report: SpawnReport) => {
      this.#processes.get(report.id)?.hear(report);
      if ('ended' in report) this.#processes.delete(report.id);
    });
  }

  /** @param parentDirectory where a directory is made that nobody else can enter */
  static async start(parentDirectory: string): Promise<Spawner> {
    const directory = join(parentDirectory, 'sockets');
    await mkdir(directory, { mode: 0o700 });
    const server = createServer();
    server.listen(join(directory, 'pairs'));
    await once(server, 'listening');
    const worker = new Worker(new URL('./spawn-worker.js', import.meta.url), {
      resourceLimits: { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 32 },
    });
    return new Spawner(worker, server, directory);
  }

  /** @param files opened for reading; the process has them as its descriptors from 3 on */
  async spawn(command: readonly string[], files: readonly string[] = []): Promise<Spawned> {
    const pair = this.#pairing.then(() => this.#pair());
    this.#pairing = pair.catch(() => {});
    const { here, there } = await pair;
    this.#count += 1;
    const id = this.#count;
    const spawned = new SpawnedProcess(here);
    this.#processes.set(id, spawned);
    this.#worker.postMessage({ id, command, fd: fdOf(there), files } satisfies SpawnOrder);
    await spawned.started;
    // The process has its own copy; the channel must end when it does.
    there.destroy();
    return spawned;
  }

  /** What it started should have ended by now. */
  async close(): Promise<void> {
    this.#server.close();
    await this.#worker.terminate();
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #pair(): Promise<{ here: Socket; there: Socket }> {
    const accepted = once(this.#server, 'connection') as Promise<[Socket]>;
    const there = connect({ path: join(this.#directory, 'pairs'), onread: NEVER_READ });
    await once(there, 'connect');
    const [here] = await accepted;
    return { here, there };
  }
}

/** Nothing is ever sent to this end before it is closed here. */
const NEVER_READ = { buffer: Buffer.alloc(1), callback: () => false };

/** Node.js has no public way to name a socket's descriptor; the field is as old as the sockets are. */
function fdOf(socket: Socket): number {
  const { _handle: handle } = socket as unknown as { _handle: { fd: number } | null };
  if (handle === null || handle.fd < 0) throw new Error('the socket for a sandbox has no descriptor');
  return handle.fd;
}
