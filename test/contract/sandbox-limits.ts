import { expect, test } from 'vitest';
import type { SandboxBackend, SandboxSpec } from '../../src/core/sandbox.ts';
import { answerOf, callOf, type Heard, runIn, smallSpec } from './calls.ts';
import { EATS, FORKS } from './hogs.ts';

const never = new AbortController().signal;
const MIB = 2 ** 20;

const FILLS = `
import errno
def fill(path):
    written = 0
    try:
        with open(path + "/fill", "wb", buffering=0) as file:
            while written < 64 << 20:
                written += file.write(b"x" * 65536)
    except OSError as error:
        return [written, errno.errorcode[error.errno]]
    return [written, "none"]
def handler(event, context):
    return [fill(path) for path in ("/tmp", "/run")]
`;

/** The limits of a SandboxSpec, tried from inside. */
export function limitTests(backend: () => SandboxBackend): void {
  async function run(code: string, over: Partial<SandboxSpec> = {}): Promise<Heard> {
    const sandbox = await backend().create(smallSpec('python', over), never);
    try {
      return await runIn(sandbox, callOf(code));
    } finally {
      await sandbox.destroy();
    }
  }

  test('memory over the limit is out_of_memory', async () => {
    const { outcome } = await run(EATS);
    expect(outcome).toMatchObject({ status: 'failed', failure: { code: 'out_of_memory' } });
  });

  test('memory over the limit is out_of_memory when it is a child of another thread that takes it', async () => {
    const code = `
import subprocess, sys, threading
def handler(event, context):
    eat = "kept = []\\nwhile len(kept) < 600: kept.append(bytearray(b'x') * (1 << 20))\\nprint('fed')"
    answers = []
    thread = threading.Thread(target=lambda: answers.append(subprocess.run([sys.executable, "-c", eat], capture_output=True).stdout.decode()))
    thread.start()
    thread.join()
    return answers[0]
`;
    const { outcome } = await run(code);
    // The kernel may end the child alone, and the function then answers that it got nothing.
    if (outcome.status === 'failed') expect(outcome.failure.code).toBe('out_of_memory');
    else expect(outcome.result).toMatchObject({ value: '' });
  });

  test('processes over the limit are refused', async () => {
    const { pids } = smallSpec('python');
    // Enough memory for them: gVisor copies more at a fork than other kernels do.
    const heard = await run(FORKS, { memoryBytes: 512 * MIB });
    const [forked, reason] = answerOf(heard) as [number, string];
    expect(reason).toBe('EAGAIN');
    expect(forked).toBeLessThan(pids);
    expect(forked).toBeGreaterThan(pids / 2);
  });

  test('/tmp and /run are no larger than allowed', async () => {
    const { tmpBytes, runBytes } = smallSpec('python');
    const [tmp, run_] = answerOf(await run(FILLS)) as [number, string][];
    expect(tmp?.[1]).toBe('ENOSPC');
    expect(tmp?.[0]).toBeLessThanOrEqual(tmpBytes);
    expect(tmp?.[0]).toBeGreaterThan(tmpBytes - MIB);
    expect(run_?.[1]).toBe('ENOSPC');
    expect(run_?.[0]).toBeLessThanOrEqual(runBytes);
  });
}
