import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { seccompProfile } from '../../../src/sandbox/seccomp/profile.ts';
import { ProfileFile } from '../../../src/sandbox/seccomp/profile-file.ts';

let parent: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'cronium-test-'));
});
afterEach(() => rm(parent, { recursive: true }));

const fileOf = (instanceId: string) => new ProfileFile(seccompProfile('enhanced'), instanceId, parent);

test('a profile is written when it is asked for, and gone afterwards', async () => {
  const file = fileOf('one');
  expect(await readdir(parent)).toEqual([]);
  const path = await file.path();
  expect(await readFile(path, 'utf8')).toBe(file.text);
  expect(await file.path()).toBe(path);
  await file.remove();
  expect(await readdir(parent)).toEqual([]);
});

test('what a killed gateway left is swept by its next run, and nothing else is', async () => {
  await fileOf('one').path();
  const ofAnother = await fileOf('two').path();
  const target = join(parent, 'target');
  await writeFile(target, 'kept');
  await symlink(target, join(parent, 'cronium-seccomp-one-link'));
  const next = fileOf('one');
  const own = await next.path();
  await next.sweep();
  const kept = [own, ofAnother].map((path) => path.split('/').at(-2));
  expect((await readdir(parent)).sort()).toEqual([...kept, 'cronium-seccomp-one-link', 'target'].sort());
  expect(await readFile(target, 'utf8')).toBe('kept');
});
