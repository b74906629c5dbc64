import type { InvokeResponse } from '../invoke.ts';
import type { StoredResult } from './queue.ts';

/** An answer, whole. `undefined` when it is larger than the limit. Rejects when the stream fails. */
export async function collectResult(
  answer: InvokeResponse,
  maxBytes: number,
): Promise<StoredResult | undefined> {
  const bytes = await collect(answer.body, maxBytes);
  if (bytes === undefined) return undefined;
  const { statusCode, headers, cookies } = answer;
  return { statusCode, headers, cookies, ...textOf(bytes) };
}

async function collect(body: InvokeResponse['body'], maxBytes: number): Promise<Uint8Array | undefined> {
  if (body instanceof Uint8Array) return body.byteLength > maxBytes ? undefined : body;
  const chunks: Uint8Array[] = [];
  let size = 0;
  // Leaving the loop cancels the stream, and with it the function.
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (size > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

/** Bodies are kept as text that every database holds. */
export function textOf(bytes: Uint8Array): Pick<StoredResult, 'body' | 'isBase64Encoded'> {
  try {
    const body = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    if (!body.includes('\0')) return { body, isBase64Encoded: false };
  } catch {
    // Not UTF-8: kept as it is.
  }
  return { body: Buffer.from(bytes).toString('base64'), isBase64Encoded: true };
}
