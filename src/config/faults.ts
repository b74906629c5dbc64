import { decodeKey } from './decode-key.ts';
import { engineFaults } from './engine-faults.ts';
import { type ConfigFault, faultsAtLevel } from './level-faults.ts';
import type { Settings } from './settings.ts';

const JWT_SECRET_MIN_BYTES = 32;

/** Faults beyond the type of one setting. A setting that has a fault of its own is left out of what is looked at. */
export function faultsAmong(env: Partial<Settings>): ConfigFault[] {
  const faults: ConfigFault[] = [];
  const fault = (name: keyof Settings, message: string) => faults.push({ name, message });
  if (env.ISOLATION_MODE === 'bubblewrap' && env.RUNTIME !== undefined && env.RUNTIME !== 'auto') {
    fault('RUNTIME', `must be auto with ISOLATION_MODE=bubblewrap, which has no OCI runtimes`);
  }
  if (env.JWT_SECRET !== undefined && Buffer.byteLength(env.JWT_SECRET) < JWT_SECRET_MIN_BYTES) {
    fault(
      'JWT_SECRET',
      `must be at least ${JWT_SECRET_MIN_BYTES} bytes; make one with: openssl rand -base64 32`,
    );
  }
  if (env.JWT_SECRET !== undefined && env.JWT_JWKS_URL !== undefined) {
    fault(
      'JWT_JWKS_URL',
      'set JWT_SECRET or JWT_JWKS_URL, not both: one gateway trusts one issuer of tokens',
    );
  }
  if (env.SECRETS_KEY !== undefined && decodeKey(env.SECRETS_KEY) === undefined) {
    fault('SECRETS_KEY', 'must be 32 bytes as base64 or hex; make one with: openssl rand -base64 32');
  }
  if (env.SIGNING_KEY !== undefined && decodeKey(env.SIGNING_KEY) === undefined) {
    fault('SIGNING_KEY', 'must be 32 bytes as base64 or hex; make one with: openssl rand -base64 32');
  }
  if (env.AUDIT_FAIL_CLOSED && env.AUDIT_LOG === false && env.SECURITY_LEVEL !== 'paranoid') {
    fault('AUDIT_FAIL_CLOSED', 'needs AUDIT_LOG=true: there is no log that could fail');
  }
  if (env.METRICS_EVENT_LABEL && env.METRICS_TOKEN === undefined) {
    fault(
      'METRICS_EVENT_LABEL',
      'names of events are not for everybody: set METRICS_TOKEN; make one with: openssl rand -hex 24',
    );
  }
  faults.push(...engineFaults(env));
  if (env.SECURITY_LEVEL !== undefined) faults.push(...faultsAtLevel(env, env.SECURITY_LEVEL));
  // What is beyond would be taken from the queue, and from gateways that have room, only to wait here and be put back.
  if (env.MAX_ASYNC_EXECUTIONS! > env.MAX_CONCURRENT_EXECUTIONS!)
    fault(
      'MAX_ASYNC_EXECUTIONS',
      `must not be more than MAX_CONCURRENT_EXECUTIONS (${env.MAX_CONCURRENT_EXECUTIONS})`,
    );
  if (env.POOL_MIN! > env.POOL_TARGET!)
    fault('POOL_MIN', `must not be more than POOL_TARGET (${env.POOL_TARGET})`);
  if (env.POOL_TARGET! > env.POOL_MAX!)
    fault('POOL_TARGET', `must not be more than POOL_MAX (${env.POOL_MAX})`);
  return faults;
}
