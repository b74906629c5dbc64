import { z } from 'zod';
import { INVOCATION_STATUSES } from '../core/invocation.ts';
import { SECURITY_LEVELS } from '../core/isolation.ts';

/** The JWS header `typ` of a receipt, so that nothing else that the gateway signs is taken for one. */
export const RECEIPT_TYPE = 'cronium-receipt+jws';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** What a receipt says; docs/receipts.md says of what its hashes are. */
export const receiptSchema = z.object({
  gateway: z.string(),
  invocationId: z.string(),
  event: z.object({ id: z.string(), name: z.string(), version: z.int(), runtime: z.string() }),
  codeSha256: sha256,
  inputSha256: sha256,
  /** `null` when the function did not answer. */
  outputSha256: sha256.nullable(),
  status: z.enum(INVOCATION_STATUSES),
  statusCode: z.int().nullable(),
  /** The stable code of the problem that ended it. */
  error: z.string().nullable(),
  /** Which run of the invocation it is of, where there may be several; older receipts do not say. */
  attempt: z.int().min(1).optional(),
  exit: z.object({ code: z.int().nullable(), signal: z.string().nullable() }).nullable(),
  start: z.enum(['warm', 'cold']).nullable(),
  isolation: z.string().nullable(),
  level: z.enum(SECURITY_LEVELS).nullable(),
  /** Digest of the sandbox's image; `null` where the host's own files are its root. */
  image: z.string().nullable(),
  limits: z.object({
    /** Whether the gateway enforces those of memory, CPUs and processes. */
    enforced: z.boolean(),
    timeoutMs: z.int(),
    memoryBytes: z.int(),
    cpus: z.number(),
    pids: z.int(),
    tmpBytes: z.int(),
    runBytes: z.int(),
  }),
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime(),
});
export type Receipt = z.output<typeof receiptSchema>;
