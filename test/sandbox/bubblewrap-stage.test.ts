import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { BubblewrapLauncher } from '../../src/sandbox/bubblewrap.ts';
import { engineOptions, newInstanceId } from '../engines.ts';
import { onEngine } from '../on-engine.ts';
import { tracesOfBubblewrap } from '../traces.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cronium-stage-'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

await onEngine('bubblewrap', () => {
  test('a stage that fails midway leaves no folder and no control group', async () => {
    vi.stubEnv('TMPDIR', folder);
    const instanceId = newInstanceId();
    const { bubblewrap } = engineOptions(instanceId);
    for (const fault of [{ runtimesDir: '/nowhere' }, { node: '/nowhere/node' }]) {
      await expect(BubblewrapLauncher.connect({ ...bubblewrap, ...fault })).rejects.toThrow('/nowhere');
      expect(await readdir(folder)).toEqual([]);
      expect(tracesOfBubblewrap(instanceId)).toEqual({ sandboxes: [], gateway: [] });
    }
  });

  test('nor does a place for temporary files that is too deep for a socket', async () => {
    const deep = join(folder, 'x'.repeat(100));
    await mkdir(deep);
    vi.stubEnv('TMPDIR', deep);
    const { bubblewrap } = engineOptions(newInstanceId());
    await expect(BubblewrapLauncher.connect(bubblewrap)).rejects.toThrow();
    expect(await readdir(deep)).toEqual([]);
  });
});
