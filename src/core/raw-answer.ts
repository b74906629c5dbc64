import { GatewayError } from '../errors.ts';
import type { FunctionErrorCode, FunctionFailure, FunctionResult, ResponseHead } from './sandbox.ts';

/** How a function failed, its time running out included. */
export interface RawFailure extends Omit<FunctionFailure, 'code'> {
  code: FunctionErrorCode | 'function_timeout';
}

const FIRST_BYTES = 4_096;
const FAILURES: ReadonlySet<string> = new Set<RawFailure['code']>([
  'function_error',
  'out_of_memory',
  'invalid_response',
  'response_too_large',
  'function_timeout',
]);

/**
 * The failure that an error stands for; `undefined` when it is the gateway or the client that ended the call.
 * @param own what the function said of it
 * @param mask hides secrets
 */
export function rawFailureOf(
  error: GatewayError,
  own: FunctionFailure | undefined,
  mask: (text: string) => string,
): RawFailure | undefined {
  if (!FAILURES.has(error.code)) return undefined;
  return {
    code: error.code as RawFailure['code'],
    message: error.message,
    ...(own?.type !== undefined && { type: mask(own.type) }),
    ...(own?.trace !== undefined && { trace: mask(own.trace) }),
  };
}

/** An answer that its caller takes whole: the value, or what was streamed in its place. */
export class RawBody {
  readonly #limitBytes: number;
  readonly #onTooLarge: (error: GatewayError) => void;
  /** Grows as it fills: chunks kept one by one would cost a hundred times their size when they are tiny. */
  #kept: Buffer = Buffer.alloc(0);
  #bytes = 0;
  #streamed = false;

  constructor(limitBytes: number, onTooLarge: (error: GatewayError) => void) {
    this.#limitBytes = limitBytes;
    this.#onTooLarge = onTooLarge;
  }

  get head(): ResponseHead {
    const type = this.#streamed ? 'application/octet-stream' : 'application/json';
    return { statusCode: 200, headers: { 'content-type': type }, cookies: [] };
  }

  /** A stream begins. Its status and headers belong to HTTP and are none of a raw caller's business. */
  begin(): void {
    this.#streamed = true;
  }

  write(chunk: Uint8Array): void {
    const needed = this.#bytes + chunk.byteLength;
    if (needed > this.#limitBytes) {
      const message = `The response is larger than ${this.#limitBytes} bytes, and this caller takes it whole.`;
      this.#onTooLarge(new GatewayError('response_too_large', message));
      return;
    }
    if (needed > this.#kept.byteLength) {
      const grown = Buffer.alloc(Math.min(this.#limitBytes, Math.max(FIRST_BYTES, needed * 2)));
      grown.set(this.#kept.subarray(0, this.#bytes));
      this.#kept = grown;
    }
    this.#kept.set(chunk, this.#bytes);
    this.#bytes = needed;
  }

  /**
   * @param result what was returned; `undefined` after a stream
   */
  whole(result: FunctionResult | undefined): Uint8Array {
    return result === undefined ? this.#kept.subarray(0, this.#bytes) : result.json;
  }
}
