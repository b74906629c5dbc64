import { isAtLeast, type SecurityLevel } from '../core/isolation.ts';
import type { Settings } from './settings.ts';

export interface ConfigFault {
  name: string;
  message: string;
}

/** An image as nobody can change it behind its name: by the digest of its manifest, or by the id of one that the engine has. */
const IMAGE_BY_DIGEST = /^([^@\s]+@)?sha256:[0-9a-f]{64}$/;

/** What a security level demands of the other settings. */
export function faultsAtLevel(env: Partial<Settings>, level: SecurityLevel): ConfigFault[] {
  const faults: ConfigFault[] = [];
  const demand = (name: keyof Settings, isMet: boolean, message: string) => {
    if (!isMet) faults.push({ name, message: `${message} at SECURITY_LEVEL=${level}` });
  };
  if (isAtLeast(level, 'enhanced'))
    demand('RESOURCE_LIMITS_ENABLED', env.RESOURCE_LIMITS_ENABLED !== false, 'must be true');
  if (!isAtLeast(level, 'paranoid')) return faults;
  demand('AUDIT_LOG', env.AUDIT_LOG !== false, 'must be true');
  demand('AUDIT_FAIL_CLOSED', env.AUDIT_FAIL_CLOSED !== false, 'must be true');
  for (const name of ['PYTHON_BASE_IMAGE', 'NODE_BASE_IMAGE'] as const) {
    const image = env[name];
    const isFixed = image === undefined || IMAGE_BY_DIGEST.test(image);
    demand(name, isFixed, `must name its image by digest, as in ${image}@sha256:…, or by its id (sha256:…),`);
  }
  return faults;
}
