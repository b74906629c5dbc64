import { type Comparison, EPERM, type SeccompProfile } from './profile.ts';
import { SYSCALLS, type SyscallName } from './syscalls.ts';

/** The architectures that a filter can be compiled for, by Node.js's names. */
export const FILTERED_ARCHITECTURES = ['x64', 'arm64'] as const;
export type FilteredArchitecture = (typeof FILTERED_ARCHITECTURES)[number];

/** One instruction of classic BPF: `struct sock_filter` of linux/filter.h. */
export interface Instruction {
  code: number;
  /** How many instructions are skipped when a jump's condition holds. */
  jt: number;
  /** And when it does not. */
  jf: number;
  k: number;
}

/** BPF_LD|BPF_W|BPF_ABS and so on: linux/bpf_common.h. */
const LOAD = 0x20;
const AND = 0x54;
const JUMP = 0x05;
const JUMP_IF_EQUAL = 0x15;
const JUMP_IF_GREATER = 0x25;
const JUMP_IF_AT_LEAST = 0x35;
const RETURN = 0x06;

/** Where things are in `struct seccomp_data`, of little-endian machines: linux/seccomp.h. */
const NUMBER = 0;
const ARCHITECTURE = 4;
const lowWordOf = (arg: number) => 16 + 8 * arg;
const highWordOf = (arg: number) => lowWordOf(arg) + 4;

const ALLOW = 0x7fff0000;
const KILL_PROCESS = 0x80000000;
const errno = (number: number) => 0x00050000 | number;

/** linux/audit.h */
const AUDIT_ARCH: Readonly<Record<FilteredArchitecture, number>> = { x64: 0xc000003e, arm64: 0xc00000b7 };
const FIRST_X32_NUMBER = 0x40000000;
const INSTRUCTION_BYTES = 8;
/** BPF_MAXINSNS. */
const MAX_INSTRUCTIONS = 4_096;

/** What is done about the numbers from this one to the next range. */
interface Range {
  from: number;
  body: readonly Instruction[];
}

/**
 * The profile as a seccomp filter (seccomp(2)): finds a number by halving, so that each system call costs ten instructions at most
 * before its arguments are looked at.
 */
export function compileFilter(profile: SeccompProfile, architecture: FilteredArchitecture): Instruction[] {
  const program = [
    load(ARCHITECTURE),
    ...unless(JUMP_IF_EQUAL, AUDIT_ARCH[architecture], [give(KILL_PROCESS)]),
    load(NUMBER),
    ...(architecture === 'x64' ? when(JUMP_IF_AT_LEAST, FIRST_X32_NUMBER, [give(KILL_PROCESS)]) : []),
    ...search(rangesOf(profile, architecture)),
  ];
  if (program.length > MAX_INSTRUCTIONS) throw new Error(`the filter has ${program.length} instructions`);
  return program;
}

/** As bwrap and the kernel read it, in the byte order of both architectures. */
export function encodeFilter(program: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(program.length * INSTRUCTION_BYTES);
  for (const [at, { code, jt, jf, k }] of program.entries()) {
    const offset = at * INSTRUCTION_BYTES;
    bytes.writeUInt16LE(code, offset);
    bytes.writeUInt8(jt, offset + 2);
    bytes.writeUInt8(jf, offset + 3);
    bytes.writeUInt32LE(k, offset + 4);
  }
  return bytes;
}

function rangesOf(profile: SeccompProfile, architecture: FilteredArchitecture): Range[] {
  const { allowed, conditional, refusedWith } = profile;
  const refused = [give(errno(EPERM))];
  const bodies = new Map<number, readonly Instruction[]>();
  const say = (name: SyscallName, body: readonly Instruction[]) => {
    const number = SYSCALLS[name][architecture === 'x64' ? 0 : 1];
    if (number === null) return;
    if (bodies.has(number)) throw new Error(`${name} is in the profile twice`);
    bodies.set(number, body);
  };
  const allow = [give(ALLOW)];
  for (const name of allowed) say(name, allow);
  for (const name of Object.keys(conditional) as SyscallName[])
    say(name, [...conditional[name]!.flatMap((all) => allowIf(all)), ...refused]);
  for (const name of Object.keys(refusedWith) as SyscallName[]) say(name, [give(errno(refusedWith[name]!))]);

  const ranges: Range[] = [{ from: 0, body: refused }];
  const last = Math.max(...bodies.keys());
  for (let number = 0; number <= last + 1; number += 1) {
    const body = bodies.get(number) ?? refused;
    if (body === ranges.at(-1)!.body) continue;
    if (ranges.at(-1)!.from === number) ranges.pop();
    ranges.push({ from: number, body });
  }
  return ranges;
}

/** Jumps by a halving search: a conditional jump reaches 255 instructions and an unconditional one all. */
function search(ranges: readonly Range[]): readonly Instruction[] {
  if (ranges.length === 1) return ranges[0]!.body;
  const middle = ranges.length >> 1;
  const below = search(ranges.slice(0, middle));
  const above = search(ranges.slice(middle));
  return [
    { code: JUMP_IF_AT_LEAST, jt: 0, jf: 1, k: ranges[middle]!.from },
    { code: JUMP, jt: 0, jf: 0, k: below.length },
    ...below,
    ...above,
  ];
}

/** Allows when all comparisons hold; else goes on behind. */
function allowIf(all: readonly Comparison[]): Instruction[] {
  return all.reduceRight<Instruction[]>((then, comparison) => [...compare(comparison, then)], [give(ALLOW)]);
}

function compare(comparison: Comparison, then: readonly Instruction[]): Instruction[] {
  const { arg } = comparison;
  const low = load(lowWordOf(arg));
  if ('is' in comparison && comparison.mask !== undefined) {
    const masked = { code: AND, jt: 0, jf: 0, k: comparison.mask };
    return [low, masked, ...when(JUMP_IF_EQUAL, comparison.is, then)];
  }
  const ofLow =
    'atMost' in comparison
      ? unless(JUMP_IF_GREATER, comparison.atMost, then)
      : when(JUMP_IF_EQUAL, comparison.is, then);
  return [load(highWordOf(arg)), ...when(JUMP_IF_EQUAL, 0, [low, ...ofLow])];
}

function when(code: number, k: number, then: readonly Instruction[]): Instruction[] {
  return [{ code, jt: 0, jf: then.length, k }, ...then];
}

function unless(code: number, k: number, then: readonly Instruction[]): Instruction[] {
  return [{ code, jt: then.length, jf: 0, k }, ...then];
}

const load = (offset: number): Instruction => ({ code: LOAD, jt: 0, jf: 0, k: offset });
const give = (action: number): Instruction => ({ code: RETURN, jt: 0, jf: 0, k: action });
