import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { answerOf, callOf, runIn, smallSpec } from '../../contract/calls.ts';
import { findEngine } from '../../engines.ts';
import { suiteWhere } from '../../suite-where.ts';

const EXIT_STATUS = 7;
const HEADERS_BYTES = 52 + 32;
const LOADED_AT = 0x08048000;
/** Of the 32-bit processor that this one runs programs of: its number in a program's header, flags, and `exit(7)`. */
const FOREIGN: Readonly<Record<string, { machine: number; flags: number; code: string }>> = {
  // mov eax, 1; mov ebx, 7; int 0x80
  x64: { machine: 3, flags: 0, code: 'b801000000bb07000000cd80' },
  // mov r7, #1; mov r0, #7; svc 0
  arm64: { machine: 40, flags: 0x05000000, code: '0170a0e30700a0e3000000ef' },
};

/** A static executable: elf(5). */
function foreignProgram(): Buffer {
  const { machine, flags, code } = FOREIGN[process.arch]!;
  const bytes = HEADERS_BYTES + code.length / 2;
  const program = Buffer.alloc(HEADERS_BYTES);
  program.write('\x7fELF\x01\x01\x01', 'latin1');
  for (const [at, value] of [2, machine].entries()) program.writeUInt16LE(value, 16 + 2 * at);
  const header = [1, LOADED_AT + HEADERS_BYTES, 52, 0, flags];
  for (const [at, value] of header.entries()) program.writeUInt32LE(value, 20 + 4 * at);
  for (const [at, value] of [52, 32, 1].entries()) program.writeUInt16LE(value, 40 + 2 * at);
  // One segment, which is read and run.
  const segment = [1, 0, LOADED_AT, LOADED_AT, bytes, bytes, 5, 0x1000];
  for (const [at, value] of segment.entries()) program.writeUInt32LE(value, 52 + 4 * at);
  return Buffer.concat([program, Buffer.from(code, 'hex')]);
}

/** Why no such program runs on this machine, without any sandbox. */
function missing(): string | undefined {
  if (FOREIGN[process.arch] === undefined) return `no 32-bit programs are known of ${process.arch}`;
  const directory = mkdtempSync(join(tmpdir(), 'cronium-test-'));
  try {
    const path = join(directory, 'foreign');
    writeFileSync(path, foreignProgram(), { mode: 0o755 });
    const { status, signal, error } = spawnSync(path);
    if (status === EXIT_STATUS) return undefined;
    return `the kernel runs no 32-bit programs: ${error?.message ?? signal ?? status}`;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const RUN = `
import base64, os, subprocess

def handler(event, context):
    with open("/tmp/foreign", "wb") as file:
        file.write(base64.b64decode(event["program"]))
    os.chmod("/tmp/foreign", 0o755)
    return subprocess.run(["/tmp/foreign"]).returncode
`;
const SIGSYS = 31;

const refused = missing();

for (const [name, levels] of [
  ['bubblewrap', ['basic', 'enhanced']],
  ['docker', ['enhanced']],
  ['podman', ['enhanced']],
] as const) {
  const engine = await findEngine(name);
  suiteWhere(`a 32-bit program on ${name}`, engine.unavailable ?? refused, () => {
    test.each(levels)('ends with its first system call, at %s', async (level) => {
      const { backend, traces } = await engine.open(undefined, level);
      try {
        const sandbox = await backend.create(smallSpec('python'), AbortSignal.timeout(30_000));
        const event = { program: foreignProgram().toString('base64') };
        expect(answerOf(await runIn(sandbox, callOf(RUN, { event })))).toBe(-SIGSYS);
        await sandbox.destroy();
      } finally {
        await backend.close();
      }
      expect(await traces()).toEqual({ sandboxes: [], gateway: [] });
    });
  });
}
