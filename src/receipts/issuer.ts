import { createHash } from 'node:crypto';
import type { ReceiptIssuer } from '../core/receipt.ts';
import type { Signer } from '../signing.ts';
import { RECEIPT_TYPE, type Receipt } from './receipt.ts';

export interface IssuerOptions {
  signer: Signer;
  /** The instance id, which tells gateways apart that share a key. */
  gateway: string;
  limitsEnforced: boolean;
}

/** Vouches with the gateway's own signature. */
export function receiptIssuer({ signer, gateway, limitsEnforced }: IssuerOptions): ReceiptIssuer {
  return {
    begin({ event, receipt }, spec) {
      const output = createHash('sha256');
      return {
        answered: (chunk) => output.update(chunk),
        async sign(invocation, sandbox) {
          const { id, name, current } = event;
          const { status } = invocation;
          const said: Receipt = {
            gateway,
            invocationId: invocation.id,
            event: { id, name, version: current.version, runtime: current.runtime },
            codeSha256: current.codeSha256,
            inputSha256: receipt.inputSha256,
            outputSha256: status === 'succeeded' ? output.digest('hex') : null,
            status,
            statusCode: invocation.statusCode,
            error: invocation.error?.code ?? null,
            attempt: invocation.attempt,
            exit: invocation.exit,
            start: invocation.start,
            isolation: invocation.isolation,
            level: sandbox?.level ?? null,
            image: sandbox?.image ?? null,
            limits: {
              enforced: limitsEnforced,
              timeoutMs: current.limits.timeoutMs,
              memoryBytes: spec.memoryBytes,
              cpus: spec.cpus,
              pids: spec.pids,
              tmpBytes: spec.tmpBytes,
              runBytes: spec.runBytes,
            },
            startedAt: invocation.createdAt.toISOString(),
            endedAt: new Date().toISOString(),
          };
          return signer.sign(said, RECEIPT_TYPE);
        },
      };
    },
  };
}
