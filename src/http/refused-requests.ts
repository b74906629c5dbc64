import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { RequestError } from '@hono/node-server';
import { GatewayError, messageOf } from '../errors.ts';
import { OWN_HEADERS } from './own-headers.ts';
import { problem } from './problem.ts';

/** How long the client may take to read why it was refused, ms. */
const LINGER_MS = 1_000;

/**
 * Answers, as a problem like every other, what the HTTP parser refuses before there is a request: what is no HTTP, is too
 * long, or comes too slowly. The connection is closed, because nobody knows where the next request would begin.
 */
export function explainRefused(server: Server): void {
  const responses = new WeakMap<Duplex, ServerResponse>();
  server.on('request', (incoming: IncomingMessage, outgoing: ServerResponse) => {
    responses.set(incoming.socket, outgoing);
  });
  server.on('clientError', async (error: NodeJS.ErrnoException, socket: Duplex) => {
    const response = responses.get(socket);
    // In the middle of an answer, these bytes would be taken for a part of it.
    const answering = response?.headersSent === true && !response.writableFinished;
    if (!socket.writable || answering || error.code === 'ECONNRESET') {
      socket.destroy(error);
      return;
    }
    await refuse(socket, refusalOf(error));
  });
  server.on('connect', (_incoming: IncomingMessage, socket: Duplex) => {
    socket.on('error', () => {});
    return refuse(socket, new GatewayError('method_not_allowed', 'This is no proxy: CONNECT is not allowed'));
  });
}

/** Two of them, and who stands in front may have believed the other one (RFC 9112, section 3.2). */
export function hasOneHost({ rawHeaders }: IncomingMessage): boolean {
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]!.length === 4 && rawHeaders[i]!.toLowerCase() === 'host') hosts += 1;
  }
  return hosts <= 1;
}

/** Whoever may be taken for two things is answered and not heard. */
export async function refuseTwoHosts({ socket }: IncomingMessage): Promise<void> {
  await refuse(socket, new GatewayError('bad_request', 'There is more than one Host header'));
}

async function refuse(socket: Duplex, error: GatewayError): Promise<void> {
  socket.end(await asBytes(problem(error)));
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}

/** A request that is HTTP and whose target or host is none. */
export function answerImpossible(error: unknown): Response {
  if (error instanceof RequestError) return problem(new GatewayError('bad_request', messageOf(error)));
  return problem(
    new GatewayError('internal_error', 'Something went wrong in the gateway; its log has the reason'),
  );
}

function refusalOf({ code }: NodeJS.ErrnoException): GatewayError {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new GatewayError('headers_too_large', 'The request line and headers are too large');
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new GatewayError('body_too_large', 'The chunk extensions of the body are too large');
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new GatewayError('request_timeout', 'The request did not arrive in time');
    default:
      return new GatewayError('bad_request', 'What was sent is not an HTTP request');
  }
}

async function asBytes(response: Response): Promise<string> {
  const body = await response.text();
  const { status } = response;
  const lines = Object.entries({ ...OWN_HEADERS, ...Object.fromEntries(response.headers) }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  lines.push(`content-length: ${Buffer.byteLength(body)}`, 'connection: close');
  const reason = (JSON.parse(body) as { title: string }).title;
  return `HTTP/1.1 ${status} ${reason}\r\n${lines.join('\r\n')}\r\n\r\n${body}`;
}
