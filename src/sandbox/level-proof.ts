import { z } from 'zod';
import { isAtLeast, type Kernel, type SecurityLevel } from '../core/isolation.ts';
import type { SandboxBackend } from '../core/sandbox.ts';
import { GVISOR_REMEDY } from './oci-runtime.ts';
import { lookFromInside } from './proof.ts';
import { IsolationRefused } from './refused.ts';

/** A way of isolating does not keep from functions what the level demands. */
export class LevelNotMet extends IsolationRefused {
  override readonly name = 'LevelNotMet';

  constructor(level: SecurityLevel, why: string, remedy: string) {
    super(`it does not meet SECURITY_LEVEL=${level}: ${why}`, remedy);
  }
}

/** @throws LevelNotMet when the level demands another kernel */
export function demandKernel(level: SecurityLevel, kernel: Kernel): void {
  if (level !== 'paranoid' || kernel !== 'host') return;
  throw new LevelNotMet(level, 'its sandboxes share the kernel of the host', GVISOR_REMEDY);
}

/** Calls that container engines allow by default, and the filter of a level does not: their refusal tells that it is this filter. */
const LOOK = `
import ctypes, errno, os

libc = ctypes.CDLL(None, use_errno=True)

def refusal(call, *args):
    ctypes.set_errno(0)
    result = getattr(libc, call)(*args)
    return "allowed" if result >= 0 else errno.errorcode[ctypes.get_errno()]

def size(path):
    try:
        with open(path, "rb") as file:
            return len(file.read(64))
    except OSError:
        return 0

def handler(event, context):
    with open("/proc/self/status") as lines:
        status = dict(line.split(":", 1) for line in lines if ":" in line)
    return {
        "mode": status["Seccomp"].strip(),
        "calls": {"memfd_create": refusal("memfd_create", b"", 0), "ptrace": refusal("ptrace", 0, 0, 0, 0)},
        "masked": sum(size(path) for path in event["masked"]),
    }
`;

const evidence = z.object({ mode: z.string(), calls: z.record(z.string(), z.string()), masked: z.number() });

const FILTER_REMEDY =
  'The engine must filter system calls by the profile that it is given: see docs/isolation.md, "Security levels".';

/**
 * Boots a sandbox and finds out from inside whether the level's filter of system calls is in force. A kernel of gVisor's needs none.
 * @throws LevelNotMet, GatewayError when no sandbox boots
 */
export async function proveLevel(backend: SandboxBackend): Promise<void> {
  const { level, kernel } = backend;
  if (!isAtLeast(level, 'enhanced') || kernel === 'gvisor') return;
  const seen = await lookFromInside(backend, LOOK, { masked: ['/proc/kallsyms', '/proc/modules'] });
  const { mode, calls, masked } = evidence.parse(seen);
  if (mode !== '2')
    throw new LevelNotMet(level, 'system calls are not filtered in its sandboxes', FILTER_REMEDY);
  const allowed = Object.keys(calls).filter((name) => calls[name] !== 'EPERM');
  if (allowed.length > 0) {
    const why = `its sandboxes allow ${allowed.join(' and ')}, so another filter than the level's is in force`;
    throw new LevelNotMet(level, why, FILTER_REMEDY);
  }
  if (masked > 0)
    throw new LevelNotMet(
      level,
      'files of /proc that tell of the host can be read in its sandboxes',
      FILTER_REMEDY,
    );
}
