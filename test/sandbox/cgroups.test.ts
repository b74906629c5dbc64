import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { detectCgroups } from '../../src/sandbox/cgroups.ts';

// The kernel lets a group go with the files in it; a directory that stands in for one would keep them.
const stuck = vi.hoisted(() => new Set<string>());
vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  const rmdirSync = (path: string) => {
    if (stuck.has(path)) throw Object.assign(new Error('busy'), { code: 'EBUSY' });
    if (!path.startsWith(join(tmpdir(), 'cgroups-test-'))) return fs.rmdirSync(path);
    if (!fs.existsSync(path)) throw Object.assign(new Error('none'), { code: 'ENOENT' });
    fs.rmSync(path, { recursive: true });
  };
  return { ...fs, rmdirSync };
});
vi.mock('node:fs/promises', async (original) => {
  const { rmdirSync } = await import('node:fs');
  return {
    ...(await original<typeof import('node:fs/promises')>()),
    rmdir: async (path: string) => rmdirSync(path),
  };
});

const spec = {
  runtime: 'bash',
  memoryBytes: 64 * 2 ** 20,
  cpus: 0.5,
  pids: 32,
  tmpBytes: 1,
  runBytes: 1,
} as const;
let root: string;
let self: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cgroups-test-'));
  self = join(root, 'self');
});
afterEach(() => {
  stuck.clear();
  rmSync(root, { recursive: true, force: true });
});

const read = (...path: string[]) => readFileSync(join(...path), 'utf8');

describe('version 2', () => {
  beforeEach(() => {
    writeFileSync(join(root, 'cgroup.controllers'), 'cpu memory pids');
    writeFileSync(self, '0::/system.slice/gateway\n');
    mkdirSync(join(root, 'system.slice/gateway'), { recursive: true });
  });

  test('limits a group below the own one', async () => {
    const cgroups = detectCgroups('cronium-test', root, self)!;
    const base = join(root, 'system.slice/gateway');
    expect(cgroups.version).toBe(2);
    expect(read(base, 'cgroup.subtree_control')).toBe('+memory +pids +cpu');
    expect(existsSync(join(base, 'cronium-test/trial'))).toBe(false);
    const group = cgroups.create('one', spec);
    expect(group.directories).toEqual([join(base, 'cronium-test/one')]);
    const [directory] = group.directories as [string];
    expect(read(directory, 'memory.max')).toBe(String(64 * 2 ** 20));
    expect(read(directory, 'pids.max')).toBe('32');
    expect(read(directory, 'cpu.max')).toBe('50000 100000');
    // Optional: not every kernel accounts swap.
    expect(existsSync(join(directory, 'memory.swap.max'))).toBe(false);
    writeFileSync(join(directory, 'memory.events'), 'low 0\noom 3\noom_kill 0\n');
    expect(group.ranOutOfMemory()).toBe(false);
    writeFileSync(join(directory, 'memory.events'), 'low 0\noom 3\noom_kill 1\n');
    expect(group.ranOutOfMemory()).toBe(true);
    await group.remove();
    expect(existsSync(directory)).toBe(false);
    cgroups.create('left', spec);
    await cgroups.close();
    expect(existsSync(join(base, 'cronium-test'))).toBe(false);
  });

  test('finds its own group by a path with colons', () => {
    writeFileSync(self, '0::/kubepods.slice:cri:abc\n');
    mkdirSync(join(root, 'kubepods.slice:cri:abc'));
    const group = detectCgroups('cronium-test', root, self)!.create('one', spec);
    expect(group.directories).toEqual([join(root, 'kubepods.slice:cri:abc/cronium-test/one')]);
  });

  test('begins at the root where the own path is of another namespace', () => {
    writeFileSync(self, '0::/not/here\n');
    const group = detectCgroups('cronium-test', root, self)!.create('one', spec);
    expect(group.directories).toEqual([join(root, 'cronium-test/one')]);
  });

  test('begins at the root where the own group cannot be divided, as that of a service', () => {
    mkdirSync(join(root, 'system.slice/gateway/cgroup.subtree_control'));
    const group = detectCgroups('cronium-test', root, self)!.create('one', spec);
    expect(group.directories).toEqual([join(root, 'cronium-test/one')]);
    expect(existsSync(join(root, 'system.slice/gateway/cronium-test'))).toBe(false);
  });

  test('is not to be had where none can be written', () => {
    for (const group of ['', 'system.slice/gateway']) mkdirSync(join(root, group, 'cgroup.subtree_control'));
    expect(detectCgroups('cronium-test', root, self)).toBeUndefined();
    for (const group of ['', 'system.slice/gateway'])
      expect(existsSync(join(root, group, 'cronium-test'))).toBe(false);
  });

  test('a group that cannot be made or removed is an error, and no end of the gateway', async () => {
    const cgroups = detectCgroups('cronium-test', root, self)!;
    const { directories } = cgroups.create('one', spec);
    stuck.add(directories[0]!);
    const unhandled: unknown[] = [];
    const note = (error: unknown) => unhandled.push(error);
    process.on('unhandledRejection', note);
    expect(() => cgroups.create('one', spec)).toThrow('EEXIST');
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
  });
});

test('without any version there is nothing', () => {
  expect(detectCgroups('cronium-test', root, self)).toBeUndefined();
});

const host = detectCgroups('cronium-unit-test');
await host?.close();
test.skipIf(host === undefined)("this host's groups hold a process and let it go", async () => {
  const cgroups = detectCgroups('cronium-unit-test')!;
  const group = cgroups.create('one', spec);
  const child = spawn('/bin/sh', [
    '-c',
    'for d; do echo 0 > "$d/cgroup.procs"; done; echo in; exec sleep 60',
    'sh',
    ...group.directories,
  ]);
  await once(child.stdout, 'data');
  for (const directory of group.directories)
    expect(read(directory, 'cgroup.procs').trim()).toBe(String(child.pid));
  expect(group.ranOutOfMemory()).toBe(false);
  child.kill('SIGKILL');
  await once(child, 'exit');
  await group.remove();
  await cgroups.close();
  for (const directory of group.directories) expect(existsSync(directory)).toBe(false);
});
