import type { ServerResponse } from 'node:http';
import type { InvokeResponse } from '../core/invoke.ts';
import { serverTiming } from './server-timing.ts';

/** Belong to a connection and not to an answer (RFC 9110, section 7.6.1), or are the gateway's to set. */
const DROPPED = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const BODILESS = new Set([204, 205, 304]);

/** Tells callers which version ran, of those that an alias may stand for. */
export const VERSION_HEADER = 'x-cronium-version';
/** Tells callers that an earlier request with their key was answered so. */
export const REPLAYED_HEADER = 'idempotent-replayed';

/** A function's answer as HTTP. A body that fails on its way cuts the connection, so that nobody takes it for whole. */
export function toResponse(
  answer: InvokeResponse,
  method: string,
  outgoing: ServerResponse | undefined,
  version: number,
): Response {
  const { body, statusCode } = answer;
  try {
    const headers = headersOf(answer);
    headers.set(VERSION_HEADER, String(version));
    const isEmpty = BODILESS.has(statusCode);
    if (isEmpty || method === 'HEAD') {
      discard(body);
      if (isEmpty) headers.delete('content-type');
      else if (body instanceof Uint8Array) headers.set('content-length', String(body.byteLength));
      return new Response(null, { status: statusCode, headers });
    }
    if (!headers.has('content-type')) headers.set('content-type', 'application/octet-stream');
    const sent = body instanceof Uint8Array ? Buffer.from(body) : cutOnFailure(body, outgoing);
    return new Response(sent, { status: statusCode, headers });
  } catch (error) {
    discard(body);
    throw error;
  }
}

function headersOf(answer: InvokeResponse): Headers {
  const headers = new Headers();
  const timing = serverTiming(answer.phases);
  if (timing !== '') headers.append('server-timing', timing);
  for (const [name, value] of Object.entries(answer.headers)) {
    const lower = name.toLowerCase();
    if (!DROPPED.has(lower) && !lower.startsWith('x-cronium-')) headers.append(lower, value);
  }
  for (const cookie of answer.cookies) headers.append('set-cookie', cookie);
  headers.set('x-cronium-invocation-id', answer.invocationId);
  headers.set('x-cronium-start', answer.start);
  headers.set('x-cronium-isolation', answer.isolation);
  if (answer.securityLevel) headers.set('x-cronium-security-level', answer.securityLevel);
  if (answer.receipt !== undefined) headers.set('x-cronium-receipt', answer.receipt);
  return headers;
}

function discard(body: Uint8Array | ReadableStream<Uint8Array>): void {
  if (!(body instanceof Uint8Array)) body.cancel().catch(() => {});
}

/** Passes a stream on. On failure the socket is destroyed: ending it would complete the chunked encoding. */
function cutOnFailure(
  body: ReadableStream<Uint8Array>,
  outgoing: ServerResponse | undefined,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          // The server sees the socket close and cancels this stream; an error here would only be printed.
          if (outgoing === undefined) controller.error(error);
          else outgoing.destroy();
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
