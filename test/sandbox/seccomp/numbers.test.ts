import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { FILTERED_ARCHITECTURES, type FilteredArchitecture } from '../../../src/sandbox/seccomp/bpf.ts';
import { SYSCALLS, type SyscallName } from '../../../src/sandbox/seccomp/syscalls.ts';
import { suiteWhere } from '../../suite-where.ts';
import { AUDIT_ARCH, numberOf } from './machine.ts';

/** What libseccomp, which knows them from the kernel's headers, says of names; a negative number is of none. */
const RESOLVE = `
import ctypes, json, sys
library = ctypes.CDLL("libseccomp.so.2")
architecture, *names = json.load(sys.stdin)
print(json.dumps([library.seccomp_syscall_resolve_name_arch(ctypes.c_uint32(architecture), name.encode()) for name in names]))
`;
const UNKNOWN = -1;
/** Newer than the oldest libseccomp that is in use. */
const RECENT = 440;
const names = Object.keys(SYSCALLS) as SyscallName[];

function resolve(architecture: FilteredArchitecture): number[] {
  const input = JSON.stringify([AUDIT_ARCH[architecture], ...names]);
  return JSON.parse(
    execFileSync('python3', ['-c', RESOLVE], { input, stdio: ['pipe', 'pipe', 'pipe'] }).toString(),
  );
}

function missing(): string | undefined {
  try {
    resolve('x64');
    return undefined;
  } catch (error) {
    return `no libseccomp: ${String(error).split('\n').filter(Boolean).at(-1)}`;
  }
}

suiteWhere('the numbers of system calls', missing(), () => {
  test.each(FILTERED_ARCHITECTURES)('are those of libseccomp on %s', (architecture) => {
    const resolved = resolve(architecture);
    const differing = names.flatMap((name, at) => {
      const [own, known] = [numberOf(name, architecture), resolved[at]!];
      if (known === UNKNOWN && own !== null && own >= RECENT) return [];
      return own === (known < 0 ? null : known) ? [] : [{ name, own, known }];
    });
    expect(differing).toEqual([]);
  });
});
