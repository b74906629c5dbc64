import { z } from 'zod';
import { flag, whole } from './values.ts';

/** The audit log, and the key that signs it. */
export const audit = {
  AUDIT_LOG: flag
    .default(true)
    .describe('Write down who changed, called and was refused what, in `DATA_DIR/audit`'),
  AUDIT_FAIL_CLOSED: flag
    .default(false)
    .describe(
      'Refuse calls and changes (503) while the audit log cannot be written; `true` at SECURITY_LEVEL=paranoid',
    ),
  AUDIT_MAX_BYTES: whole(65_536, 1_073_741_824)
    .default(16_777_216)
    .describe('Size at which a file of the audit log is followed by another, bytes'),
  AUDIT_MAX_FILES: whole(2, 1_000)
    .default(8)
    .describe('Files that each of the three chains of the audit log keeps'),
  SIGNING_KEY: z
    .string()
    .optional()
    .describe(
      'Ed25519 private key that signs the audit log and receipts: 32 bytes as base64 or hex; made at first start when not given',
    ),
};
