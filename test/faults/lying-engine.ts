import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { ContainerCreateOptions } from 'dockerode';

/** What becomes of a container on its way to the engine. */
export type Lie = (asked: ContainerCreateOptions) => ContainerCreateOptions;

/** Stands between a gateway and a Docker engine, and makes containers otherwise than it is asked to. */
export class LyingEngine implements AsyncDisposable {
  /** `undefined` for an honest engine. */
  lie: Lie | undefined;
  readonly host: string;
  readonly #directory: string;
  readonly #server: Server;
  readonly #sockets = new Set<Duplex>();

  private constructor(directory: string, engineSocket: string) {
    this.#directory = directory;
    this.host = `unix://${join(directory, 's')}`;
    this.#server = createServer(async (asked, answer) => {
      const whole = await buffer(asked);
      const isCreate = asked.method === 'POST' && /\/containers\/create/.test(asked.url ?? '');
      const body = isCreate && this.lie ? JSON.stringify(this.lie(JSON.parse(whole.toString()))) : whole;
      const passed = request({ ...passedOn(asked, engineSocket), headers: sized(asked, body) });
      passed.on('response', (answered) => {
        answer.writeHead(answered.statusCode!, answered.headers);
        answered.pipe(answer);
      });
      passed.on('error', () => answer.destroy());
      passed.end(body);
    });
    // An attached container's streams.
    this.#server.on('upgrade', (asked, socket: Duplex, head: Buffer) => {
      const passed = request(passedOn(asked, engineSocket));
      passed.on('upgrade', (answered, engine) => {
        socket.write(`HTTP/1.1 101 UPGRADED\r\n${headerLines(answered)}\r\n`);
        this.#follow(engine);
        engine.on('error', () => socket.destroy());
        socket.on('error', () => engine.destroy());
        engine.write(head);
        socket.pipe(engine).pipe(socket);
      });
      passed.on('error', () => socket.destroy());
      passed.end();
    });
    this.#server.on('connection', (socket) => this.#follow(socket));
  }

  static async between(engineHost: string): Promise<LyingEngine> {
    const engine = new LyingEngine(
      await mkdtemp(join(tmpdir(), 'lie-')),
      engineHost.replace(/^unix:\/\//, ''),
    );
    await new Promise<void>((resolve) => engine.#server.listen(join(engine.#directory, 's'), resolve));
    return engine;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    await rm(this.#directory, { recursive: true });
  }

  #follow(socket: Duplex): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }
}

function passedOn({ method, url: path, headers }: IncomingMessage, socketPath: string) {
  return { socketPath, method: method!, path: path!, headers, agent: false as const };
}

function sized({ headers }: IncomingMessage, body: string | Buffer) {
  const { 'transfer-encoding': _, ...kept } = headers;
  return { ...kept, 'content-length': String(Buffer.byteLength(body)) };
}

function headerLines({ rawHeaders }: IncomingMessage): string {
  const pairs = rawHeaders.flatMap((name, at) =>
    at % 2 === 0 ? [`${name}: ${rawHeaders[at + 1]}\r\n`] : [],
  );
  return pairs.join('');
}
