import { join } from 'node:path';
import type { Config } from '../config.ts';
import type { DataDir } from '../data-dir.ts';
import type { Log } from '../logger.ts';
import type { Signer } from '../signing.ts';
import { AuditTrail } from './trail.ts';

/** The folder of the log in a DATA_DIR. */
export const AUDIT_DIR = 'audit';

/** The gateway's audit log as it is configured; `undefined` when none is to be kept. */
export async function openTrail(options: {
  config: Config;
  dataDir: DataDir;
  signer: Signer;
  log: Log;
}): Promise<AuditTrail | undefined> {
  const { config, dataDir, signer, log } = options;
  if (!config.AUDIT_LOG) return undefined;
  return AuditTrail.open({
    dir: join(dataDir.path, AUDIT_DIR),
    gateway: dataDir.instanceId,
    signer,
    maxBytes: config.AUDIT_MAX_BYTES,
    maxFiles: config.AUDIT_MAX_FILES,
    failClosed: config.AUDIT_FAIL_CLOSED,
    onTrouble: (message, fields) => log.error(fields, message),
  });
}
