import type { InvokeRequest } from './invoke.ts';
import type { Call, CallLimits } from './sandbox.ts';

/** What a sandbox is given for a request. */
export function callOf(request: InvokeRequest, limits: CallLimits): Call {
  const { id, event, caller, payload, traceparent, trigger } = request;
  const { current, name } = event;
  return {
    invocationId: id,
    functionName: name,
    functionVersion: current.version,
    memoryMb: current.limits.memoryMb,
    deadlineMs: Date.now() + current.limits.timeoutMs,
    code: current.code,
    env: {
      ...current.env,
      ...current.secrets,
      CRONIUM_EVENT_ID: event.id,
      CRONIUM_USER_ID: caller.userId ?? '',
      CRONIUM_EXECUTION_ID: id,
      ...(trigger === 'replay' && { CRONIUM_REPLAY: 'true' }),
      _HANDLER: 'handler',
      AWS_LAMBDA_FUNCTION_NAME: name,
      AWS_LAMBDA_FUNCTION_VERSION: String(current.version),
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(current.limits.memoryMb),
      ...(traceparent !== undefined && { _TRACEPARENT: traceparent }),
    },
    event: payload,
    limits,
  };
}
