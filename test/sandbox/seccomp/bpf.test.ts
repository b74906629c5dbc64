import { describe, expect, test } from 'vitest';
import { compileFilter, encodeFilter, FILTERED_ARCHITECTURES } from '../../../src/sandbox/seccomp/bpf.ts';
import { ociProfile } from '../../../src/sandbox/seccomp/oci.ts';
import { type SeccompProfile, seccompProfile } from '../../../src/sandbox/seccomp/profile.ts';
import { SYSCALLS, type SyscallName } from '../../../src/sandbox/seccomp/syscalls.ts';
import { faultOf, numberOf, runFilter, seccompData } from './machine.ts';

const ALLOWED = 0x7fff0000;
const KILLED = 0x80000000;
const refused = (errno: number) => 0x00050000 | errno;
const [EPERM, ENOSYS] = [1, 38];
const HIGHEST_TRIED = 1_024;

test('a small profile compiles to these instructions', () => {
  const profile: SeccompProfile = {
    allowed: ['write'],
    conditional: { socket: [[{ arg: 0, is: 1 }]] },
    refusedWith: {},
  };
  const lines = compileFilter(profile, 'arm64').map(({ code, jt, jf, k }) => [code, jt, jf, k]);
  expect(lines).toEqual([
    [0x20, 0, 0, 4], // load the architecture
    [0x15, 1, 0, 0xc00000b7], // arm64? over the kill
    [0x06, 0, 0, KILLED],
    [0x20, 0, 0, 0], // load the number
    [0x35, 0, 1, 65], // at least 65?
    [0x05, 0, 0, 4], // to the upper half
    [0x35, 0, 1, 64], // at least 64?
    [0x05, 0, 0, 1],
    [0x06, 0, 0, refused(EPERM)], // 0 to 63
    [0x06, 0, 0, ALLOWED], // write is 64
    [0x35, 0, 1, 198], // at least 198?
    [0x05, 0, 0, 1],
    [0x06, 0, 0, refused(EPERM)], // 65 to 197
    [0x35, 0, 1, 199], // at least 199?
    [0x05, 0, 0, 6],
    [0x20, 0, 0, 20], // socket is 198: load the upper half of its family
    [0x15, 0, 3, 0], // none?
    [0x20, 0, 0, 16], // load the lower half
    [0x15, 0, 1, 1], // AF_UNIX?
    [0x06, 0, 0, ALLOWED],
    [0x06, 0, 0, refused(EPERM)],
    [0x06, 0, 0, refused(EPERM)], // 199 and on
  ]);
});

describe.each(FILTERED_ARCHITECTURES)('on %s', (architecture) => {
  describe.each(['basic', 'enhanced'] as const)('the filter of %s', (level) => {
    const profile = seccompProfile(level);
    const program = compileFilter(profile, architecture);
    const answer = (name: SyscallName, ...args: (number | bigint)[]) =>
      runFilter(program, seccompData(architecture, numberOf(name, architecture)!, args)).action;
    const whether = (action: number) => action === ALLOWED;

    test('is one that the kernel loads', () => {
      expect(faultOf(program)).toBeUndefined();
      expect(encodeFilter(program)).toHaveLength(program.length * 8);
    });

    test('says of every number what the profile says of its name', () => {
      const names = Object.keys(SYSCALLS) as SyscallName[];
      const byNumber = new Map(names.map((name) => [numberOf(name, architecture), name]));
      const allowed = new Set<SyscallName>(profile.allowed);
      for (let number = 0; number <= HIGHEST_TRIED; number += 1) {
        const name = byNumber.get(number);
        if (name !== undefined && Object.hasOwn(profile.conditional, name)) continue;
        const errno = name === undefined ? undefined : profile.refusedWith[name];
        const expected = name !== undefined && allowed.has(name) ? ALLOWED : refused(errno ?? EPERM);
        const { action, steps } = runFilter(program, seccompData(architecture, number));
        expect([number, name, action]).toEqual([number, name, expected]);
        expect(steps).toBeLessThan(30);
      }
    });

    test('ends who calls by another convention', () => {
      for (const [arch, number] of [
        ['i386', 20],
        [architecture === 'x64' ? 'arm64' : 'x64', numberOf('getpid', architecture)!],
      ] as const)
        expect(runFilter(program, seccompData(arch, number)).action).toBe(KILLED);
      const x32 = runFilter(program, seccompData(architecture, 0x40000000 | 39)).action;
      expect(x32).toBe(architecture === 'x64' ? KILLED : refused(EPERM));
      expect(runFilter(program, seccompData(architecture, -1)).action).not.toBe(ALLOWED);
    });

    test('lets threads and children be made, and no namespaces', () => {
      const thread = 0x3d0f00;
      for (const flags of [17, 0x4111, thread]) expect(answer('clone', flags)).toBe(ALLOWED);
      for (const bit of [17, 25, 26, 27, 28, 29, 30])
        expect([bit, answer('clone', 17 + 2 ** bit)]).toEqual([bit, refused(EPERM)]);
      expect(answer('clone3')).toBe(refused(ENOSYS));
    });

    test('knows sockets by their family, all 64 bits of it', () => {
      const [stream, cloexec] = [1, 0o2000000];
      const families = Array.from({ length: 48 }, (_, family) => family);
      const open = families.filter((family) => whether(answer('socket', family, stream | cloexec, 0)));
      expect(open).toEqual([1, 2, 10, 16]);
      expect(answer('socket', 1n | (1n << 32n), stream, 0)).toBe(refused(EPERM));
      // The packet filter, and generic netlink.
      for (const protocol of [12, 16]) expect(answer('socket', 16, 3, protocol)).toBe(refused(EPERM));
      expect(families.filter((family) => whether(answer('socketpair', family)))).toEqual([1]);
    });

    test('knows personalities', () => {
      for (const persona of [0, 0xffffffff]) expect(answer('personality', persona)).toBe(ALLOWED);
      for (const persona of [8, 0x0400000, 0x40000])
        expect(answer('personality', persona)).toBe(refused(EPERM));
    });
  });

  describe('enhanced alone', () => {
    const program = compileFilter(seccompProfile('enhanced'), architecture);
    const isAllowed = (name: SyscallName, ...args: (number | bigint)[]) =>
      runFilter(program, seccompData(architecture, numberOf(name, architecture)!, args)).action === ALLOWED;

    test('takes TCP and UDP, and no raw or other sockets', () => {
      for (const family of [2, 10]) {
        const open = [1, 2, 3, 4, 5, 6, 10].filter((type) => isAllowed('socket', family, type, 0));
        expect(open).toEqual([1, 2]);
        const protocols = [0, 6, 17, 33, 132, 136, 262].filter((protocol) =>
          isAllowed('socket', family, 1, protocol),
        );
        expect(protocols).toEqual([0, 6, 17]);
      }
    });

    test('answers what is asked of terminals, and types into none', () => {
      expect(isAllowed('ioctl', 0, 0x5401)).toBe(true);
      // A C library that extends the sign.
      expect(isAllowed('ioctl', 0, 0xffffffff80045430n)).toBe(true);
      for (const request of [0x5412, 0x541c, 0x5412n | (1n << 32n), 0xae01])
        expect(isAllowed('ioctl', 0, request)).toBe(false);
    });

    test('names processes, and changes nothing of their security', () => {
      expect(isAllowed('prctl', 15)).toBe(true);
      // PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_SECUREBITS, PR_SET_MM, PR_CAP_AMBIENT
      for (const option of [22, 24, 28, 35, 47]) expect(isAllowed('prctl', option)).toBe(false);
    });

    test('makes pipes and files, and no devices', () => {
      for (const mode of [0o010600, 0o100600, 0o600]) expect(isAllowed('mknodat', -100, 0, mode)).toBe(true);
      for (const mode of [0o020600, 0o060600]) expect(isAllowed('mknodat', -100, 0, mode)).toBe(false);
    });
  });
});

test('what enhanced allows, basic does', () => {
  const [basic, enhanced] = [seccompProfile('basic'), seccompProfile('enhanced')];
  const known = new Set<string>([...basic.allowed, ...Object.keys(basic.conditional)]);
  const names = [...enhanced.allowed, ...Object.keys(enhanced.conditional)];
  expect(names.filter((name) => !known.has(name))).toEqual([]);
  expect(seccompProfile('paranoid')).toEqual(enhanced);
});

describe('the profile for engines', () => {
  const profile = ociProfile(seccompProfile('enhanced'));

  test('refuses by default, and names every architecture that a filter is compiled for', () => {
    expect(profile).toMatchObject({ defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: EPERM });
    expect(profile.archMap.map(({ architecture }) => architecture)).toEqual([
      'SCMP_ARCH_X86_64',
      'SCMP_ARCH_AARCH64',
    ]);
  });

  test('compares an argument once a rule, which runtimes would take for an alternative', () => {
    const rules = profile.syscalls as { args?: { index: number }[] }[];
    for (const { args = [] } of rules) expect(new Set(args.map(({ index }) => index)).size).toBe(args.length);
  });

  test('says what the compiled one does', () => {
    const { syscalls } = profile as {
      syscalls: { names: readonly string[]; args?: object[]; errnoRet?: number }[];
    };
    expect(syscalls).toContainEqual({ names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS });
    expect(syscalls).toContainEqual({
      names: ['clone'],
      action: 'SCMP_ACT_ALLOW',
      args: [{ index: 0, op: 'SCMP_CMP_MASKED_EQ', value: 0x7e020000, valueTwo: 0 }],
    });
    expect(syscalls).toContainEqual({
      names: ['socket'],
      action: 'SCMP_ACT_ALLOW',
      args: [{ index: 0, op: 'SCMP_CMP_EQ', value: 1 }],
    });
    expect(syscalls[0]!.names).toEqual(seccompProfile('enhanced').allowed);
  });
});
