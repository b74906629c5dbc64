import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server as NetServer } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import type { App } from './context.ts';
import { answerImpossible, explainRefused, hasOneHost, refuseTwoHosts } from './refused-requests.ts';

export interface Listening {
  /** `http://host:port`, for a caller on this machine when the address is a wildcard. */
  readonly url: string;
  /** New connections are refused and idle ones closed; requests under way go on. */
  stopAccepting(): void;
  /** Resolves when the last connection is closed; those that linger are cut. */
  close(): Promise<void>;
}

/** How long the last responses may take to leave after every invocation has ended, ms. */
const FLUSH_MS = 1_000;
/** How often to look for those who are too slow, ms: left to itself, Node.js looks only every 30 s. */
const SLOWNESS_CHECK_MS = 1_000;
/** What the system and its name server say of one; EAI_AGAIN comes from a machine without a name server. */
const NOT_AN_ADDRESS = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EAI_AGAIN', 'EINVAL', 'ENOTFOUND']);

export interface Address {
  host: string;
  port: number;
}

/** Whoever sends more slowly holds a socket for nothing. */
export interface Slowness {
  headersTimeoutMs: number;
  /** Headers and body together. */
  requestTimeoutMs: number;
}

/**
 * Tries the address and gives it back: a fault in it should be known before minutes are spent on building images.
 * @throws Error naming HOST or PORT when the address cannot be had
 */
export async function checkAddress(address: Address): Promise<void> {
  const server = createServer();
  await bind(server, address);
  await new Promise((resolve) => server.close(resolve));
}

/**
 * Serves the app.
 * @throws Error naming HOST or PORT when the address cannot be had
 */
export async function listen(app: App, address: Address, slowness: Slowness): Promise<Listening> {
  const { headersTimeoutMs, requestTimeoutMs } = slowness;
  const answer = getRequestListener(app.fetch, { errorHandler: answerImpossible });
  const server = createHttpServer(
    {
      headersTimeout: Math.min(headersTimeoutMs, requestTimeoutMs),
      requestTimeout: requestTimeoutMs,
      connectionsCheckingInterval: SLOWNESS_CHECK_MS,
      // Their absence is told as a problem too.
      requireHostHeader: false,
    },
    (incoming, outgoing) => (hasOneHost(incoming) ? answer(incoming, outgoing) : refuseTwoHosts(incoming)),
  );
  explainRefused(server);
  await bind(server, address);
  const closed = new Promise<void>((resolve) => server.once('close', resolve));
  let accepting = true;
  const stopAccepting = () => {
    if (!accepting) return;
    accepting = false;
    server.close();
    server.closeIdleConnections();
  };
  return {
    url: urlOf(server.address() as AddressInfo),
    stopAccepting,
    async close() {
      stopAccepting();
      const timer = setTimeout(() => server.closeAllConnections(), FLUSH_MS);
      await closed;
      clearTimeout(timer);
    },
  };
}

async function bind(server: NetServer, { host, port }: Address): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(explain(error, host, port)));
    server.listen(port, host, resolve);
  });
}

function urlOf({ address, family, port }: AddressInfo): string {
  const wildcard = address === '0.0.0.0' || address === '::';
  const host = wildcard ? '127.0.0.1' : family === 'IPv6' ? `[${address}]` : address;
  return `http://${host}:${port}`;
}

function explain(error: NodeJS.ErrnoException, host: string, port: number): Error {
  if (error.code === 'EADDRINUSE')
    return new Error(`PORT: ${port} is in use; set PORT to another, or to 0 for a free one.`);
  if (error.code === 'EACCES')
    return new Error(`PORT: ${port} needs privileges; set PORT to one above 1023.`);
  if (NOT_AN_ADDRESS.has(error.code ?? '')) return new Error(`HOST: ${host} is no address of this machine.`);
  return error;
}
