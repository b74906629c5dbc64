import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { SandboxSpec } from '../../src/core/sandbox.ts';
import {
  childrenOf,
  isAlive,
  processTree,
  proportionalBytes,
  residentBytes,
  signalProcess,
} from '../../src/sandbox/process-tree.ts';
import { ResourceManager } from '../../src/sandbox/resource-manager.ts';

const started: ChildProcess[] = [];

function start(command: string, args: readonly string[]): ChildProcess & { pid: number } {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  started.push(child);
  return child as ChildProcess & { pid: number };
}

/** Ends when its standard input does, so that nothing outlives a test. */
const python = (code: string) => start('/usr/bin/python3', ['-c', code]);

afterEach(async () => {
  for (const child of started.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const exited = once(child, 'exit');
    for (const pid of processTree(child.pid!).reverse()) signalProcess(pid, 'SIGKILL');
    await exited;
  }
});

function spec(over: Partial<SandboxSpec>): SandboxSpec {
  return { runtime: 'bash', memoryBytes: 2 ** 40, cpus: 1, pids: 100, tmpBytes: 1, runBytes: 1, ...over };
}

describe('a process tree', () => {
  test('has all descendants', async () => {
    const child = start('/bin/sh', ['-c', 'sleep 60 & (sleep 60 & wait) & wait']);
    await vi.waitFor(() => expect(processTree(child.pid)).toHaveLength(4));
    expect(processTree(child.pid)[0]).toBe(child.pid);
  });

  test('has what another thread than the first has started', async () => {
    const child = python(`
import os, sys, threading, time
def work():
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    time.sleep(60)
threading.Thread(target=work, daemon=True).start()
sys.stdin.read()`);
    await vi.waitFor(() => expect(childrenOf(child.pid)).toHaveLength(1));
  });

  test('has memory, resident and shared out', () => {
    expect(residentBytes([process.pid])).toBeGreaterThan(10e6);
    expect(proportionalBytes([process.pid])).toBeGreaterThan(5e6);
    expect(proportionalBytes([process.pid])).toBeLessThanOrEqual(residentBytes([process.pid]) * 1.5);
  });

  test('has the memory that the kernel tells in kB, on whatever size of pages', async () => {
    const proc = await mkdtemp(join(tmpdir(), 'cronium-proc-'));
    await mkdir(join(proc, '7'));
    // Of a machine whose pages are 64 KiB.
    await writeFile(join(proc, '7', 'statm'), '500 100 50 1 0 80 0\n');
    await writeFile(join(proc, '7', 'status'), 'Name:\tpython3\nVmHWM:\t    9000 kB\nVmRSS:\t    6400 kB\n');
    expect(residentBytes([7, 8], proc)).toBe(6_400 * 1_024);
    await rm(proc, { recursive: true });
  });

  test('that is gone has nothing, and signals to it go nowhere', async () => {
    const child = start('/bin/true', []);
    await once(child, 'exit');
    expect(processTree(child.pid)).toEqual([child.pid]);
    expect([residentBytes([child.pid]), proportionalBytes([child.pid])]).toEqual([0, 0]);
    expect(isAlive(child.pid)).toBe(false);
    signalProcess(child.pid, 'SIGKILL');
  });

  test('tells a zombie from one that lives', async () => {
    const child = python(`
import os, sys
pid = os.fork()
if pid == 0: os._exit(0)
print(pid, flush=True)
sys.stdin.read()`);
    const [line] = await once(child.stdout!, 'data');
    await vi.waitFor(() => expect(isAlive(Number(line))).toBe(false));
    expect(isAlive(child.pid)).toBe(true);
  });
});

describe('watched sandboxes', () => {
  test('within their limits are left alone', async () => {
    const manager = new ResourceManager();
    const child = start('/bin/sleep', ['60']);
    const watch = manager.watch(child.pid, spec({}));
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect([isAlive(child.pid), watch.ranOutOfMemory()]).toEqual([true, false]);
    watch.stop();
    watch.stop();
  });

  test('with too much memory end, and it is known why', async () => {
    const manager = new ResourceManager();
    const child = python('import sys; kept = bytearray(80_000_000); sys.stdin.read()');
    const other = start('/bin/sleep', ['60']);
    const watch = manager.watch(child.pid, spec({ memoryBytes: 60e6 }));
    const otherWatch = manager.watch(other.pid, spec({ memoryBytes: 60e6 }));
    await once(child, 'exit');
    expect([watch.ranOutOfMemory(), otherWatch.ranOutOfMemory()]).toEqual([true, false]);
    expect(isAlive(other.pid)).toBe(true);
    watch.stop();
    otherWatch.stop();
  });

  test('with too many processes end', async () => {
    const manager = new ResourceManager();
    const child = start('/bin/sh', ['-c', 'for i in 1 2 3 4 5 6; do sleep 60 & done; wait']);
    const watch = manager.watch(child.pid, spec({ pids: 3 }));
    await once(child, 'exit');
    expect(watch.ranOutOfMemory()).toBe(false);
    watch.stop();
  });
});
