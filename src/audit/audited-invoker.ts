import type { InvokeRequest, InvokeResponse, Invoker } from '../core/invoke.ts';
import type { AuditTrail } from './trail.ts';

/** Runs nothing that the audit log does not take, where it is to fail closed. */
export function auditedInvoker(invoker: Invoker, trail: AuditTrail): Invoker {
  return {
    async invoke(request: InvokeRequest, signal: AbortSignal): Promise<InvokeResponse> {
      await trail.begins(request);
      return invoker.invoke(request, signal);
    },
  };
}
