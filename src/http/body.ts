import { createMiddleware } from 'hono/factory';
import { GatewayError, messageOf } from '../errors.ts';
import type { AppEnv } from './context.ts';

/**
 * Reads a request's body and stops at the limit, declared or not.
 * @throws GatewayError `body_too_large`, or `client_closed` when the rest never came
 */
export async function readBody(request: Request, maxBytes: number): Promise<Uint8Array> {
  // Fetch knows no body of these; asking for it would only cost.
  if (request.method === 'GET' || request.method === 'HEAD') return new Uint8Array();
  const declared = request.headers.get('content-length');
  if (declared !== null && Number(declared) > maxBytes) throw tooLarge(maxBytes);
  try {
    // A body of declared length cannot be longer: the HTTP parser sees to it.
    if (declared !== null) return checked(new Uint8Array(await request.arrayBuffer()), maxBytes);
    return request.body === null ? new Uint8Array() : await collect(request.body, maxBytes);
  } catch (cause) {
    if (cause instanceof GatewayError) throw cause;
    throw new GatewayError('client_closed', 'The request ended before its body was whole', { cause });
  }
}

async function collect(stream: ReadableStream<Uint8Array>, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  // Leaving the loop cancels the stream: nothing is read beyond the limit.
  for await (const chunk of stream) {
    size += chunk.byteLength;
    if (size > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

function checked(body: Uint8Array, maxBytes: number): Uint8Array {
  if (body.byteLength > maxBytes) throw tooLarge(maxBytes);
  return body;
}

function tooLarge(maxBytes: number): GatewayError {
  return new GatewayError('body_too_large', `The body is larger than ${maxBytes} bytes`);
}

/**
 * Reads a JSON body for the validator that follows, so that what is malformed is told by its position.
 * @param alsoType a media type that is taken beside `application/json`
 */
export function jsonBody(maxBytes: number, alsoType = 'application/json') {
  return createMiddleware<AppEnv>(async (c, next) => {
    const [type = ''] = (c.req.header('content-type') ?? '').toLowerCase().split(';');
    if (type.trim() !== 'application/json' && type.trim() !== alsoType) {
      throw new GatewayError('unsupported_media_type', 'Send the body as application/json');
    }
    const bytes = await readBody(c.req.raw, maxBytes);
    const text = decode(bytes);
    parseJson(text);
    const { url, method, headers } = c.req.raw;
    c.req.raw = new Request(url, { method, headers, body: text });
    await next();
  });
}

/** @throws GatewayError `invalid_json` */
export function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new GatewayError('invalid_json', 'The body is not UTF-8');
  }
}

/** @throws GatewayError `invalid_json` that says where the fault is */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const position = faultPosition(text);
    const before = text.slice(0, position).split('\n');
    const place = `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`;
    throw new GatewayError('invalid_json', `The body is not JSON: fault at position ${position} (${place})`, {
      cause: error,
    });
  }
}

/** Index of the first character that cannot be: the parser does not always tell, but it knows how a beginning may go on. */
function faultPosition(text: string): number {
  let [good, bad] = [0, text.length + 1];
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    if (mayGoOn(text.slice(0, middle))) good = middle;
    else bad = middle;
  }
  return good;
}

function mayGoOn(beginning: string): boolean {
  try {
    JSON.parse(beginning);
    return true;
  } catch (error) {
    const message = messageOf(error);
    const position = /at position (\d+)/.exec(message)?.[1];
    if (position !== undefined && !message.startsWith('Unterminated string')) {
      return Number(position) >= beginning.length;
    }
    return message.startsWith('Unterminated string') || message.startsWith('Unexpected end');
  }
}
