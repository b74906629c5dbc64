import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import Docker from 'dockerode';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RUNTIMES, type Runtime } from '../../src/core/event.ts';
import { RUNTIMES_DIR } from '../../src/engine-config.ts';
import { readContext, recipeOf } from '../../src/sandbox/image-recipe.ts';
import { type EngineName, engineConfig } from '../engines.ts';
import { onEngine } from '../on-engine.ts';
import { Caller } from './calls.ts';
import { cronium, GatewayProcess, instanceIdOf, leftOf, TempDir } from './processes.ts';

const TIMEOUT_MS = 180_000;
const HELLO: Readonly<Record<Runtime, string>> = {
  python: 'def handler(event, context): return "hello"',
  nodejs: 'export const handler = async () => "hello";',
  bash: 'cronium output hello',
};

/** The base images by their ids, the digests of what is in them: images that no registry has seen have no other. */
async function basesById(): Promise<Record<Runtime, string>> {
  const { PYTHON_BASE_IMAGE, NODE_BASE_IMAGE } = engineConfig();
  const docker = new Docker();
  const idOf = async (name: string) => (await docker.getImage(name).inspect()).Id;
  const python = await idOf(PYTHON_BASE_IMAGE);
  return { python, bash: python, nodejs: await idOf(NODE_BASE_IMAGE) };
}

const settingsOf = ({ python, nodejs }: Record<Runtime, string>) => ({
  SECURITY_LEVEL: 'paranoid',
  PYTHON_BASE_IMAGE: python,
  NODE_BASE_IMAGE: nodejs,
});

/** Deploys and calls a function, and says with what it was answered, and at which level by which isolation. */
async function callOf(caller: Caller, runtime: Runtime) {
  await caller.deploy(runtime, HELLO[runtime], runtime);
  const response = await caller.fetch(`/e/${runtime}`);
  const { headers } = response;
  return {
    text: await response.text(),
    isolation: headers.get('x-cronium-isolation'),
    level: headers.get('x-cronium-security-level'),
  };
}

async function stop(gateway: GatewayProcess, dataDir: string): Promise<void> {
  gateway.signal('SIGTERM');
  expect((await gateway.ended).code).toBe(0);
  expect(await leftOf(dataDir)).toEqual([]);
}

await onEngine('docker', ({ settings }) => {
  test('at paranoid, serve starts on none that shares the host’s kernel, and says why and what to do', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const paranoid = settingsOf(await basesById());
    const refusals = [settings, { ISOLATION_MODE: 'bubblewrap' }].map(async (mode) => {
      using dir = new TempDir();
      const env = { ...paranoid, ...mode, DATA_DIR: dir.path, PORT: '0' };
      const { code, stderr } = await cronium(['serve'], env);
      expect(code).toBe(1);
      expect(stderr).toMatch(/^cronium: Nothing on this host meets SECURITY_LEVEL=paranoid/);
      expect(stderr).toMatch(/\n {4}Install gVisor/);
      expect(await leftOf(dir.path)).toEqual([]);
      return /^ {2}(.*): it does not meet SECURITY_LEVEL=paranoid: its sandboxes share the kernel/m.exec(
        stderr,
      )?.[1];
    });
    expect(await Promise.all(refusals)).toEqual(['docker+runc', 'bubblewrap']);
  });
});

await onEngine('docker+runsc', ({ settings }) => {
  let bases: Record<Runtime, string>;
  beforeAll(async () => {
    bases = await basesById();
  });
  afterAll(async () => {
    const files = await readContext(RUNTIMES_DIR);
    const tags = RUNTIMES.map((runtime) => recipeOf(runtime, files, bases[runtime]).tag);
    // The names alone: the layers are those of the images that have the usual names.
    for (const tag of tags) await new Docker().getImage(tag).remove({ noprune: true });
  });

  test('at paranoid, serve runs every language on gVisor, in images by digest', {
    timeout: TIMEOUT_MS,
  }, async () => {
    using dir = new TempDir();
    const env = { ...settings, ...settingsOf(bases) };
    await using gateway = new GatewayProcess({ dataDir: dir.path, mode: 'docker', env });
    const caller = await Caller.of(await gateway.warm(), dir.path);
    for (const runtime of RUNTIMES)
      expect(await callOf(caller, runtime)).toEqual({
        text: '"hello"',
        isolation: 'docker+runsc',
        level: 'paranoid',
      });
    await stop(gateway, dir.path);
  });
});

for (const name of ['docker', 'podman', 'bubblewrap'] satisfies EngineName[])
  await onEngine(name, ({ mode, settings }) => {
    const profilesOf = (dataDir: string) =>
      readdirSync(tmpdir()).filter((each) => each.startsWith(`cronium-seccomp-${instanceIdOf(dataDir)}`));

    test('at enhanced, serve starts, and says of a call at which level it was', {
      timeout: TIMEOUT_MS,
    }, async () => {
      using dir = new TempDir();
      const env = { ...settings, SECURITY_LEVEL: 'enhanced' };
      if (name === 'podman') {
        await using killed = new GatewayProcess({ dataDir: dir.path, mode, env });
        await killed.listening();
        killed.signal('SIGKILL');
        await killed.ended;
        expect(profilesOf(dir.path)).toHaveLength(1);
      }
      await using gateway = new GatewayProcess({ dataDir: dir.path, mode, env });
      const caller = await Caller.of(await gateway.warm(), dir.path);
      expect(profilesOf(dir.path)).toHaveLength(name === 'podman' ? 1 : 0);
      expect(await callOf(caller, 'bash')).toEqual({
        text: '"hello"',
        isolation: expect.stringMatching(new RegExp(`^${mode}`)),
        level: 'enhanced',
      });
      await stop(gateway, dir.path);
      expect(profilesOf(dir.path)).toEqual([]);
    });
  });
