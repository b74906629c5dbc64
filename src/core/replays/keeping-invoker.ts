import { type ErrorCode, GatewayError } from '../../errors.ts';
import type { InvokeRequest, InvokeResponse, Invoker } from '../invoke.ts';

/** A call that has ended, as it went through. */
export interface EndedCall {
  request: InvokeRequest;
  /** `undefined` when the function failed. */
  answer: InvokeResponse | undefined;
}

/** Ends that the function is to blame for; what never reached it is not worth keeping. */
const OWN_FAILURES: ReadonlySet<ErrorCode> = new Set([
  'function_error',
  'out_of_memory',
  'invalid_response',
  'response_too_large',
  'function_timeout',
]);

/** Hands on each call that somebody waited for. @param keep must return at once and not throw */
export function keepingInvoker(invoker: Invoker, keep: (call: EndedCall) => void): Invoker {
  return {
    async invoke(request, signal) {
      try {
        const answer = await invoker.invoke(request, signal);
        keep({ request, answer });
        return answer;
      } catch (error) {
        if (error instanceof GatewayError && OWN_FAILURES.has(error.code))
          keep({ request, answer: undefined });
        throw error;
      }
    },
  };
}
