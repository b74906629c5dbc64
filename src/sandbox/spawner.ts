import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { messageOf } from '../errors.ts';
import { isAlive } from './process-tree.ts';
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
  readonly #refuseStart: (reason: Error) => void;
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
    this.#refuseStart = started.reject;
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

  /** Nobody will report of it any more: it is not waited for, or its end is looked for from here. */
  async lose(reason: Error): Promise<void> {
    this.#refuseStart(reason);
    // Nobody asks for its status, so that it stays a zombie, and its number its own.
    while (this.pid !== undefined && isAlive(this.pid)) await sleep(GONE_POLL_MS, undefined, { ref: false });
    this.hasEnded = true;
    this.wasKilled = true;
    this.#markEnded();
  }
}

const GONE_POLL_MS = 20;
const WORKER = new URL('./spawn-worker.js', import.meta.url);

/**
 * Starts processes on another thread. Starting one blocks the thread that does it until the new program runs, which is milliseconds in a
 * process as large as the gateway; no call may wait for that. The process's standard input and output are a socket whose other end is
 * here, so that the other thread has no part in a call.
 */
export class Spawner {
  readonly #server: Server;
  readonly #directory: string;
  readonly #script: URL;
  readonly #processes = new Map<number, SpawnedProcess>();
  readonly #closing = new AbortController();
  /** `undefined` after one that failed, until there is something to start again. */
  #worker: Worker | undefined;
  /** Pairs are made one at a time, so that both ends are of the same pair. */
  #pairing: Promise<unknown> = Promise.resolve();
  #count = 0;

  private constructor(server: Server, directory: string, script: URL) {
    this.#server = server;
    this.#directory = directory;
    this.#script = script;
    this.#worker = this.#startWorker();
  }

  /**
   * @param parentDirectory where a directory is made that nobody else can enter
   * @param script what runs on the other thread
   */
  static async start(parentDirectory: string, script = WORKER): Promise<Spawner> {
    const directory = join(parentDirectory, 'sockets');
    await mkdir(directory, { mode: 0o700 });
    const server = createServer();
    server.listen(join(directory, 'pairs'));
    await once(server, 'listening');
    return new Spawner(server, directory, script);
  }

  /**
   * Rejects when the spawner closes first, or when its thread fails, which then is another one for the next.
   * @param files opened for reading; the process has them as its descriptors from 3 on
   */
  async spawn(command: readonly string[], files: readonly string[] = []): Promise<Spawned> {
    const pair = this.#pairing.then(() => this.#pair());
    this.#pairing = pair.catch(() => {});
    const { here, there } = await pair;
    try {
      const spawned = new SpawnedProcess(here);
      this.#count += 1;
      const id = this.#count;
      this.#worker ??= this.#startWorker();
      this.#worker.postMessage({ id, command, fd: fdOf(there), files } satisfies SpawnOrder);
      this.#processes.set(id, spawned);
      await spawned.started;
      return spawned;
    } catch (error) {
      here.destroy();
      throw error;
    } finally {
      // The process has its own copy; the channel must end when it does.
      there.destroy();
    }
  }

  /** What it started should have ended by now. What it is about to start finds its channel closed. */
  async close(): Promise<void> {
    const reason = new Error('nothing is started any more: the gateway is shutting down');
    this.#closing.abort(reason);
    this.#server.close();
    const worker = this.#worker;
    this.#lose(reason);
    await worker?.terminate();
    await rm(this.#directory, { recursive: true, force: true });
  }

  #startWorker(): Worker {
    this.#closing.signal.throwIfAborted();
    const worker = new Worker(this.#script, {
      resourceLimits: { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 32 },
    });
    worker.on('message', (report: SpawnReport) => {
      this.#processes.get(report.id)?.hear(report);
      if ('ended' in report) this.#processes.delete(report.id);
    });
    // Without a listener an error there would end the gateway. Of a thread that is not the present one there is nothing left to lose.
    const failed = (why: string) => {
      if (this.#worker === worker)
        this.#lose(new Error(`the thread that starts sandboxes has failed: ${why}`));
    };
    worker.on('error', (error) => failed(messageOf(error)));
    worker.on('exit', (code) => failed(`it ended with ${code}`));
    return worker;
  }

  #lose(reason: Error): void {
    this.#worker = undefined;
    for (const process of this.#processes.values()) void process.lose(reason);
    this.#processes.clear();
  }

  async #pair(): Promise<{ here: Socket; there: Socket }> {
    const { signal } = this.#closing;
    signal.throwIfAborted();
    const accepted = once(this.#server, 'connection', { signal }) as Promise<[Socket]>;
    const there = connect({ path: join(this.#directory, 'pairs'), onread: NEVER_READ });
    try {
      const [[here]] = await Promise.all([accepted, once(there, 'connect', { signal })]);
      return { here, there };
    } catch (error) {
      there.destroy();
      accepted.then(
        ([here]) => here.destroy(),
        () => {},
      );
      throw signal.aborted ? signal.reason : error;
    }
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
