import type { Invocation } from './invocation.ts';
import type { InvokeRequest, ReceiptRequest } from './invoke.ts';
import type { Sandbox, SandboxSpec } from './sandbox.ts';

/** A receipt under way: it is told what the function answers, and then how it ended. */
export interface OpenReceipt {
  /** The next bytes of the answer's body. */
  answered(chunk: Uint8Array): void;
  /**
   * Signs what became of it: a compact JWS (RFC 7515).
   * @param sandbox that it ran in; `undefined` when it had none
   */
  sign(invocation: Invocation, sandbox: Pick<Sandbox, 'image' | 'level'> | undefined): Promise<string>;
}

/** Vouches for what the gateway has run, for callers who ask for it. */
export interface ReceiptIssuer {
  begin(request: InvokeRequest & { receipt: ReceiptRequest }, spec: SandboxSpec): OpenReceipt;
}
