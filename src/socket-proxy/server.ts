import { rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { messageOf } from '../errors.ts';
import { OWN_PROFILE } from '../sandbox/confinement.ts';
import { ociProfileText } from '../sandbox/seccomp/oci.ts';
import { seccompProfile } from '../sandbox/seccomp/profile.ts';
import { ENGINE_CALLS, type EngineCall, type EngineCallPath, type MatchedCall, matchCall } from './calls.ts';
import { ProxiedEngine } from './engine.ts';
import type { OwnImages } from './own-images.ts';
import { Denied, Policy } from './policy.ts';

/** More than a build context or a container has; what is longer is neither. */
const MAX_BODY_BYTES = 8 * 2 ** 20;
/** What sandboxes may have in place of the engine's own seccomp profile, in the gateway's very words. */
const OWN_FILTERS: ReadonlySet<string> = new Set([ociProfileText(seccompProfile('enhanced'))]);

export interface SocketProxyOptions {
  /** Path of the Unix socket to listen on; one that is there is replaced. */
  listen: string;
  /** Path of the engine's. */
  engine: string;
  images: OwnImages;
  /** What sandboxes may have in place of the engine's own AppArmor profile; the one of deploy/apparmor when not given. */
  appArmorProfile?: string | undefined;
  calls?: readonly (EngineCall & { path: EngineCallPath })[];
  /** Hears of each request that was not let through. */
  onDenied: (reason: string) => void;
}

/**
 * A Docker engine's socket of which nothing is left but what a gateway needs: its calls, and in them its images and
 * sandboxes. Whoever has this socket can start sandboxes, and has neither the engine nor its host.
 */
export class SocketProxy implements AsyncDisposable {
  readonly #options: SocketProxyOptions;
  readonly #engine: ProxiedEngine;
  readonly #policy: Policy;
  readonly #server: Server;
  readonly #upgraded = new Set<Duplex>();

  private constructor(options: SocketProxyOptions) {
    this.#options = options;
    this.#engine = new ProxiedEngine(options.engine);
    this.#policy = new Policy(this.#engine, options.images, {
      seccomp: OWN_FILTERS,
      appArmor: options.appArmorProfile ?? OWN_PROFILE,
    });
    this.#server = createServer((incoming, outgoing) => this.#answer(incoming, outgoing));
    this.#server.on('upgrade', (incoming, socket, head) => this.#upgrade(incoming, socket, head));
  }

  /** @throws Error when the socket cannot be made */
  static async listen(options: SocketProxyOptions): Promise<SocketProxy> {
    const proxy = new SocketProxy(options);
    await rm(options.listen, { force: true });
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject);
      // For this user alone, from the moment that it is there.
      const before = process.umask(0o177);
      proxy.#server.listen(options.listen, resolve);
      process.umask(before);
    });
    return proxy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    for (const socket of this.#upgraded) socket.destroy();
    await closed;
  }

  async #answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const gone = new AbortController();
    outgoing.once('close', () => gone.abort());
    try {
      const call = this.#match(incoming);
      const body = await bodyOf(incoming);
      await this.#policy.demandAllowed(call, body, gone.signal);
      const { response } = await this.#engine.send(sentOf(call, body), gone.signal);
      outgoing.writeHead(response.statusCode!, {
        'content-type': response.headers['content-type'] ?? 'application/json',
      });
      if (call.call === '/containers/create') {
        const created = await buffer(response);
        this.#policy.created(created);
        outgoing.end(created);
        return;
      }
      if (call.method === 'DELETE') this.#policy.removed(call.name);
      response.once('error', () => outgoing.destroy());
      response.pipe(outgoing);
    } catch (error) {
      if (outgoing.headersSent || outgoing.destroyed) outgoing.destroy();
      else this.#refuse(error, (status, text) => outgoing.writeHead(status, JSON_HEADERS).end(text));
    }
  }

  /** Attach: the connection is the container's from then on. */
  async #upgrade(incoming: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const gone = new AbortController();
    const onClose = () => gone.abort();
    socket.once('close', onClose);
    socket.on('error', () => socket.destroy());
    this.#upgraded.add(socket);
    socket.once('close', () => this.#upgraded.delete(socket));
    try {
      const call = this.#match(incoming);
      if (call.call !== '/containers/{id}/attach') throw new Denied(`${call.call} upgrades to nothing`);
      await this.#policy.demandAllowed(call, NO_BODY, gone.signal);
      const { response, upgraded } = await this.#engine.send(sentOf(call, NO_BODY), gone.signal, true);
      socket.off('close', onClose);
      if (upgraded === undefined) {
        const text = await buffer(response);
        socket.end(
          `${statusLine(response)}content-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`,
        );
        return;
      }
      upgraded.socket.on('error', () => socket.destroy());
      upgraded.socket.once('close', () => socket.destroy());
      socket.once('close', () => upgraded.socket.destroy());
      socket.write(`${statusLine(response)}connection: Upgrade\r\nupgrade: tcp\r\n\r\n`);
      socket.write(upgraded.head);
      upgraded.socket.write(head);
      upgraded.socket.pipe(socket).pipe(upgraded.socket);
    } catch (error) {
      this.#refuse(error, (status, text) => {
        const headers = `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}`;
        socket.end(`HTTP/1.1 ${status} ${status}\r\n${headers}\r\nconnection: close\r\n\r\n${text}`);
      });
    }
  }

  #match({ method = '', url = '' }: IncomingMessage): MatchedCall {
    const call = matchCall(this.#options.calls ?? ENGINE_CALLS, method, url);
    if (typeof call === 'string') throw new Denied(call);
    return call;
  }

  /** In the form of the engine's own errors. */
  #refuse(error: unknown, answer: (status: number, text: string) => void): void {
    const message = messageOf(error);
    if (error instanceof Denied) this.#options.onDenied(message);
    const status = error instanceof Denied ? 403 : 502;
    answer(status, JSON.stringify({ message: `the socket proxy does not allow it: ${message}` }));
  }
}

const NO_BODY = Buffer.alloc(0);
const JSON_HEADERS = { 'content-type': 'application/json' };
/** The body's type, of the calls that have one; a body of another call goes no further than here. */
const BODY_TYPE: Partial<Record<EngineCallPath, string>> = {
  '/containers/create': 'application/json',
  '/build': 'application/tar',
};

/** What was understood is written anew: nothing that the engine could understand in another way gets there. */
function sentOf({ method, call, name, query }: MatchedCall, body: Buffer) {
  const search = query.size === 0 ? '' : `?${query}`;
  const contentType = BODY_TYPE[call];
  return {
    method,
    path: `${call.replace(/\{\w+\}/, name)}${search}`,
    ...(contentType !== undefined && { body, contentType }),
  };
}

function statusLine({ statusCode, statusMessage }: IncomingMessage): string {
  return `HTTP/1.1 ${statusCode} ${statusMessage}\r\n`;
}

/** @throws Denied */
async function bodyOf(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > MAX_BODY_BYTES) throw new Denied('the body is larger than any of the gateway’s');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
