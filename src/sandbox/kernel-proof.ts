import { z } from 'zod';
import type { Kernel } from '../core/isolation.ts';
import type { SandboxBackend } from '../core/sandbox.ts';
import { lookFromInside } from './proof.ts';

/** Reads the kernel's log by its system call: a program for it need not be in the image. */
const LOOK = `
import ctypes, os

def first(path):
    try:
        with open(path) as file:
            return file.read(65536)
    except OSError:
        return ""

def handler(event, context):
    text = ctypes.create_string_buffer(65536)
    size = ctypes.CDLL(None).klogctl(3, text, len(text))
    return {
        "release": os.uname().release,
        "log": text.raw[: max(size, 0)].decode(errors="replace"),
        "memory": first("/proc/meminfo").split("\\n")[0],
    }
`;

const evidence = z.object({ release: z.string(), log: z.string(), memory: z.string() });
type Evidence = z.output<typeof evidence>;

/** What was found from inside. */
export interface Proof {
  kernel: Kernel;
  /** The kernel's version as the sandbox sees it. */
  release: string;
  /** The memory that the sandbox's kernel believes to have, bytes; `undefined` where it does not say. */
  memoryBytes: number | undefined;
}

/**
 * Boots a sandbox, looks at its kernel from inside and compares it with the engine's.
 * @param engineKernel the version of the engine's kernel; where it is not known, nothing but the host's kernel is believed in
 * @throws GatewayError when no sandbox boots, Error when it does not answer
 */
export async function proveKernel(backend: SandboxBackend, engineKernel: string | undefined): Promise<Proof> {
  const seen = evidence.parse(await lookFromInside(backend, LOOK));
  return { kernel: kernelOf(seen, engineKernel), release: seen.release, memoryBytes: memoryOf(seen) };
}

/** gVisor says in its log what it is. On an engine that runs within gVisor every container sees that, and the engine does, too. */
export function kernelOf(
  { release, log }: Pick<Evidence, 'release' | 'log'>,
  engineKernel: string | undefined,
): Kernel {
  if (engineKernel === undefined || release === engineKernel) return 'host';
  return /^(<\d>)?\[[\d. ]+\] Starting gVisor/.test(log) ? 'gvisor' : 'own';
}

function memoryOf({ memory }: Evidence): number | undefined {
  const kilobytes = /^MemTotal:\s+(\d+) kB/.exec(memory)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1_024;
}
