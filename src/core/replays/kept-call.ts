import type { InvokeResponse } from '../invoke.ts';
import { textOf } from '../queue/collect.ts';
import type { StoredResult } from '../queue/queue.ts';
import { responseOf } from '../response.ts';
import type { EndedCall } from './keeping-invoker.ts';
import type { KeptCall } from './replay.ts';

/** `undefined` when its payload is larger than may be kept, bytes. */
export function keptCall({ request, answer }: EndedCall, maxBytes: number): KeptCall | undefined {
  // Looked at first: writing out megabytes to find that they are too many would hold up other calls.
  if (isLarger(request.payload, maxBytes)) return undefined;
  const payload = JSON.stringify(request.payload ?? null);
  if (Buffer.byteLength(payload) > maxBytes) return undefined;
  return { id: request.id, payload, result: answer && resultOf(answer, maxBytes) };
}

function resultOf(answer: InvokeResponse, maxBytes: number): StoredResult | undefined {
  if (!(answer.body instanceof Uint8Array) || answer.body.byteLength > maxBytes) return undefined;
  if (answer.raw?.failure) return undefined;
  const { statusCode, headers, cookies, body } =
    answer.raw === undefined ? answer : asHttp(answer, answer.body);
  if (!(body instanceof Uint8Array)) return undefined;
  return { statusCode, headers, cookies, ...textOf(body) };
}

/** As it is answered by the function's URL, and when it is run again. */
function asHttp(
  answer: InvokeResponse,
  json: Uint8Array,
): Omit<StoredResult, 'body' | 'isBase64Encoded'> & {
  body: Uint8Array;
} {
  const { statusCode, headers, cookies } = answer;
  try {
    return responseOf({ value: JSON.parse(Buffer.from(json).toString()), json });
  } catch {
    // A stream, or what is no response: as it came.
    return { statusCode, headers, cookies, body: json };
  }
}

/** Whether a JSON value has more characters than that, quotes and commas not counted; gives up counting there. */
export function isLarger(value: unknown, maxChars: number): boolean {
  const rest: unknown[] = [value];
  for (let chars = 0; rest.length > 0; ) {
    const next = rest.pop();
    if (typeof next === 'string') chars += next.length;
    else if (typeof next !== 'object' || next === null) chars += 1;
    else {
      for (const [key, member] of Object.entries(next)) {
        chars += Array.isArray(next) ? 1 : key.length;
        rest.push(member);
        if (chars > maxChars) return true;
      }
    }
    if (chars > maxChars) return true;
  }
  return false;
}
