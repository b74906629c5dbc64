import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DataDirError, openDataDir } from '../src/data-dir.ts';

const MODULE = fileURLToPath(new URL('../src/data-dir.ts', import.meta.url));
let parent: string;
let path: string;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'cronium-test-'));
  path = join(parent, 'a', 'data');
});

afterEach(() => rmSync(parent, { recursive: true }));

/** A process of its own that holds the directory. */
function program(then: string): string[] {
  return [
    '--input-type=module',
    '-e',
    `const { openDataDir } = await import(${JSON.stringify(MODULE)});
    globalThis.dir = openDataDir(${JSON.stringify(path)}); ${then}`,
  ];
}

test('it is made, with its parents, for nobody else to read', () => {
  using dir = openDataDir(path);
  expect(dir.path).toBe(path);
  expect(statSync(path).mode & 0o777).toBe(0o700);
  expect(statSync(join(path, 'instance-id')).mode & 0o777).toBe(0o600);
});

test('the instance is the same over restarts, and another for another directory', () => {
  const ids = [path, path, join(parent, 'b')].map((each) => {
    using dir = openDataDir(each);
    return dir.instanceId;
  });
  expect(ids[0]).toMatch(/^[0-9a-f]{12}$/);
  expect(ids[1]).toBe(ids[0]);
  expect(ids[2]).not.toBe(ids[0]);
});

test('an instance id that is none is replaced', () => {
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'instance-id'), '../../etc\n');
  using dir = openDataDir(path);
  expect(readFileSync(join(path, 'instance-id'), 'utf8')).toBe(`${dir.instanceId}\n`);
});

test('it is held by one at a time, in this process and in others, until disposed', () => {
  const message = `DATA_DIR: another gateway runs in ${path}.`;
  {
    using _dir = openDataDir(path);
    expect(() => openDataDir(path)).toThrow(new DataDirError(message));
    expect(() => execFileSync(process.execPath, program(''), { stdio: 'pipe' })).toThrow(message);
  }
  openDataDir(path)[Symbol.dispose]();
});

test('who dies by SIGKILL holds it no longer', async () => {
  const child = spawn(process.execPath, program("console.log('held'); setInterval(() => {}, 1000);"), {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  try {
    await once(child.stdout, 'data');
    expect(() => openDataDir(path)).toThrow(DataDirError);
  } finally {
    child.kill('SIGKILL');
    await closed;
  }
  openDataDir(path)[Symbol.dispose]();
});

test('where it cannot be made or written, the message says so by the name of the setting', () => {
  writeFileSync(join(parent, 'file'), '');
  expect(() => openDataDir(join(parent, 'file'))).toThrow(/^DATA_DIR: .* cannot be made: EEXIST/);
  expect(() => openDataDir(join(parent, 'file', 'data'))).toThrow(/^DATA_DIR: .* cannot be made: ENOTDIR/);
  mkdirSync(join(path, 'lock'), { recursive: true });
  expect(() => openDataDir(path)).toThrow(/^DATA_DIR: .* cannot be written: /);
  rmSync(join(path, 'lock'), { recursive: true });
  mkdirSync(join(path, 'instance-id'));
  expect(() => openDataDir(path)).toThrow(/^DATA_DIR: .* cannot be written: EISDIR/);
  // The lock has been given back.
  rmSync(join(path, 'instance-id'), { recursive: true });
  openDataDir(path)[Symbol.dispose]();
});
