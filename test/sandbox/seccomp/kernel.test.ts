import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compileFilter, encodeFilter, FILTERED_ARCHITECTURES } from '../../../src/sandbox/seccomp/bpf.ts';
import { type Comparison, seccompProfile } from '../../../src/sandbox/seccomp/profile.ts';
import type { SyscallName } from '../../../src/sandbox/seccomp/syscalls.ts';
import { suiteWhere } from '../../suite-where.ts';
import { numberOf, runFilter, seccompData } from './machine.ts';

const ASK = fileURLToPath(new URL('./kernel.py', import.meta.url));
const ALLOWED = 0x7fff0000;
const KILLED = 0x80000000;
const HIGHEST_TRIED = 1_024;
const X32 = 0x40000000;
/** uretprobe and uprobe of x86-64: no filter is asked of them, since the kernel itself puts them into programs that are watched. */
const UNFILTERED = [335, 336];
const own = FILTERED_ARCHITECTURES.find((known) => known === process.arch);

type Call = [number: number, ...args: bigint[]];

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'cronium-test-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

suiteWhere(
  `the kernel, of ${process.arch}`,
  own === undefined ? 'there is no filter for it' : undefined,
  () => {
    test.each(['basic', 'enhanced'] as const)(
      'takes the filter of %s, and reads it as the tests do',
      (level) => {
        const program = compileFilter(seccompProfile(level), own!);
        const calls = [...everyNumber(), ...conditionalOf(level)];
        const expected = calls.map(([number, ...args]) =>
          answerOf(runFilter(program, seccompData(own!, number, args)).action),
        );
        // Else nothing of what is compared is known to be compared at all.
        expect(new Set(expected)).toEqual(new Set(own === 'x64' ? [0, 1, 38, 'SIGSYS'] : [0, 1, 38]));
        const said = ask(encodeFilter(program), calls);
        const differing = calls.flatMap((call, at) =>
          said[at] === expected[at] ? [] : [{ call, expected: expected[at], said: said[at] }],
        );
        expect(differing).toEqual([]);
      },
    );
  },
);

function everyNumber(): Call[] {
  const numbers = Array.from({ length: HIGHEST_TRIED + 1 }, (_, number): Call => [number]);
  const filtered = numbers.filter(([number]) => own !== 'x64' || !UNFILTERED.includes(number));
  // Each of them ends a process.
  const another = [X32, X32 | 39].map((number): Call => [number]);
  return [...filtered, ...another];
}

/** With what is compared, with what is next to it, and with more than 32 bits of it; and all that of one argument with all of the others. */
function conditionalOf(level: 'basic' | 'enhanced'): Call[] {
  const { conditional } = seccompProfile(level);
  return (Object.keys(conditional) as SyscallName[]).flatMap((name) => {
    const number = numberOf(name, own!);
    if (number === null) return [];
    const comparisons = conditional[name]!.flat();
    const values = [0, 1, 2].map((arg) => {
      const near = comparisons.filter((comparison) => comparison.arg === arg).flatMap(around);
      return near.length === 0 ? [0n] : [...new Set(near)];
    });
    const [first, second, third] = values as [bigint[], bigint[], bigint[]];
    return first.flatMap((one) =>
      second.flatMap((two) => third.map((three): Call => [number, one, two, three])),
    );
  });
}

function around(comparison: Comparison): bigint[] {
  const at = BigInt('atMost' in comparison ? comparison.atMost : comparison.is);
  const mask = 'is' in comparison && comparison.mask !== undefined ? bitsOf(BigInt(comparison.mask)) : [];
  return [at, at + 1n, at ^ (1n << 32n), at ^ (1n << 63n), ...mask.map((bit) => at ^ bit)];
}

const bitsOf = (mask: bigint) =>
  Array.from({ length: 32 }, (_, bit) => 1n << BigInt(bit)).filter((bit) => mask & bit);

function answerOf(action: number): number | string {
  if (action === KILLED) return 'SIGSYS';
  return action === ALLOWED ? 0 : action & 0xffff;
}

function ask(filter: Buffer, calls: readonly Call[]): (number | string)[] {
  const path = join(directory, 'filter.bpf');
  writeFileSync(path, filter);
  const input = JSON.stringify(calls.map((call) => call.map(String)));
  return JSON.parse(execFileSync('python3', [ASK, path], { input, maxBuffer: 64 * 2 ** 20 }).toString());
}
