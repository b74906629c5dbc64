import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { expect, test } from 'vitest';
import { RUNTIMES_DIR } from '../../src/engine-config.ts';
import { Images } from '../../src/sandbox/images.ts';

/** An engine that has every image. */
const docker = { getImage: () => ({ inspect: async () => ({ Id: 'sha256:1' }) }) } as unknown as Docker;

test('a build context that could not be read is read again at the next try', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'cronium-images-'));
  const runtimesDir = join(folder, 'runtimes');
  const baseImages = { python: 'p', bash: 'p', nodejs: 'n' };
  const images = new Images(docker, { runtimesDir, baseImages, onProgress: () => {} });
  await expect(images.ensure('python')).rejects.toThrow('ENOENT');
  await cp(RUNTIMES_DIR, runtimesDir, { recursive: true });
  expect(await images.ensure('python')).toBe('sha256:1');
  // And then no more.
  await rm(folder, { recursive: true });
  expect(await images.ensure('bash')).toBe('sha256:1');
});
