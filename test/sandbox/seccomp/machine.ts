import type { FilteredArchitecture, Instruction } from '../../../src/sandbox/seccomp/bpf.ts';
import { SYSCALLS, type SyscallName } from '../../../src/sandbox/seccomp/syscalls.ts';

export const AUDIT_ARCH: Readonly<Record<string, number>> = {
  x64: 0xc000003e,
  arm64: 0xc00000b7,
  i386: 0x40000003,
};
const LONGEST_JUMP = 255;

/** The system call as the kernel shows it to a filter: `struct seccomp_data`, 64 bytes. */
export function seccompData(architecture: string, number: number, args: readonly (number | bigint)[] = []) {
  const data = Buffer.alloc(64);
  data.writeInt32LE(number | 0, 0);
  data.writeUInt32LE(AUDIT_ARCH[architecture]!, 4);
  for (const [at, arg] of args.entries()) data.writeBigUInt64LE(BigInt.asUintN(64, BigInt(arg)), 16 + 8 * at);
  return data;
}

export function numberOf(name: SyscallName, architecture: FilteredArchitecture): number | null {
  return SYSCALLS[name][architecture === 'x64' ? 0 : 1];
}

/** What the kernel refuses to load (kernel/seccomp.c, seccomp_check_filter; net/core/filter.c, bpf_check_classic). */
export function faultOf(program: readonly Instruction[]): string | undefined {
  for (const [at, { code, jt, jf, k }] of program.entries()) {
    const behind = program.length - at - 1;
    const fault = (why: string) => `instruction ${at}: ${why}`;
    if (![0x20, 0x54, 0x05, 0x15, 0x25, 0x35, 0x06].includes(code)) return fault(`code ${code}`);
    if (code === 0x20 && (k % 4 !== 0 || k >= 64)) return fault(`loads from ${k}`);
    if (code === 0x05 && k >= behind) return fault(`jumps out by ${k}`);
    if ([0x15, 0x25, 0x35].includes(code)) {
      if (Math.max(jt, jf) >= behind) return fault('jumps out');
      if (Math.max(jt, jf) > LONGEST_JUMP) return fault('jumps further than a byte says');
    }
  }
  return program.at(-1)?.code === 0x06 ? undefined : 'it does not end with a return';
}

/** Runs a filter as the kernel would. Resolves to the action and to how many instructions it took. */
export function runFilter(program: readonly Instruction[], data: Buffer): { action: number; steps: number } {
  let accumulator = 0;
  let steps = 0;
  for (let at = 0; ; at += 1) {
    const { code, jt, jf, k } = program[at]!;
    steps += 1;
    if (code === 0x20) accumulator = data.readUInt32LE(k);
    else if (code === 0x54) accumulator = (accumulator & k) >>> 0;
    else if (code === 0x05) at += k;
    else if (code === 0x15) at += accumulator === k ? jt : jf;
    else if (code === 0x25) at += accumulator > k ? jt : jf;
    else if (code === 0x35) at += accumulator >= k ? jt : jf;
    else if (code === 0x06) return { action: k, steps };
    else throw new Error(`code ${code}`);
  }
}
