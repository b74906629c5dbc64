import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RUNTIMES, type Runtime } from '../../src/core/event.ts';
import { AgentBackend } from '../../src/sandbox/backend.ts';
import { DockerLauncher } from '../../src/sandbox/docker.ts';
import { Images } from '../../src/sandbox/images.ts';
import { ANSWERS_42, answerOf, callOf, runIn, smallSpec } from '../contract/calls.ts';
import { sandboxContract } from '../contract/sandbox.ts';
import { engineOptions, newInstanceId, type OpenEngine } from '../engines.ts';
import { onEngine } from '../on-engine.ts';

const never = new AbortController().signal;

await onEngine('docker', (engine) => {
  sandboxContract(engine);

  describe('a container, as the engine sees it', () => {
    let open: OpenEngine;
    beforeAll(async () => {
      open = await engine.open();
    });
    afterAll(() => open.backend.close());

    test.each(RUNTIMES)('%s has every limit and nothing of the host', async (runtime) => {
      const spec = smallSpec(runtime, { cpus: 0.5 });
      const sandbox = await open.backend.create(spec, never);
      const { Config, HostConfig, Mounts, NetworkSettings } = await inspect(sandbox.id);
      await sandbox.destroy();
      expect(Config).toMatchObject({
        User: expect.stringMatching(/^50\d{3}:50000$/),
        Tty: false,
        Labels: { 'cronium.instance': open.instanceId, 'cronium.runtime': runtime },
      });
      expect(HostConfig).toMatchObject({
        NetworkMode: 'none',
        ReadonlyRootfs: true,
        Privileged: false,
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges'],
        Init: true,
        IpcMode: 'private',
        Memory: spec.memoryBytes,
        MemorySwap: spec.memoryBytes,
        NanoCpus: 5e8,
        PidsLimit: spec.pids,
        LogConfig: { Type: 'none', Config: {} },
        Ulimits: [
          { Name: 'nofile', Soft: 1024, Hard: 1024 },
          { Name: 'core', Soft: 0, Hard: 0 },
        ],
      });
      // The engine writes what was not given as null or as nothing.
      for (const list of [
        'Binds',
        'Mounts',
        'VolumesFrom',
        'Devices',
        'CapAdd',
        'GroupAdd',
        'Links',
      ] as const)
        expect(HostConfig[list] ?? [], list).toEqual([]);
      for (const mode of ['PidMode', 'UTSMode'] as const) expect(HostConfig[mode], mode).toBe('');
      expect(HostConfig.PortBindings ?? {}).toEqual({});
      expect(Mounts).toEqual([]);
      for (const { IPAddress, Gateway } of Object.values(NetworkSettings.Networks))
        expect([IPAddress, Gateway]).toEqual(['', '']);
      const { Tmpfs } = HostConfig;
      expect(Object.keys(Tmpfs ?? {}).sort()).toEqual(['/run', '/tmp']);
      for (const [path, bytes] of [['/tmp', spec.tmpBytes] as const, ['/run', spec.runBytes] as const])
        expect(Tmpfs?.[path]?.split(',')).toEqual(
          expect.arrayContaining(['nosuid', 'nodev', `size=${bytes}`]),
        );
    });

    test.each<[number, Runtime]>([
      [6, 'bash'],
      [24, 'bash'],
      [24, 'python'],
    ])(
      'a call of %i MiB, which alone is more than the memory, is told by the agent of %s',
      async (mib, runtime) => {
        const spec = smallSpec(runtime, { memoryBytes: 32 * 2 ** 20, tmpBytes: 64 * 2 ** 20 });
        const sandbox = await open.backend.create(spec, never);
        const code = runtime === 'bash' ? 'sleep 20' : 'import time; time.sleep(20)';
        const event = { body: 'a'.repeat(mib * 2 ** 20) };
        const { outcome } = await runIn(sandbox, callOf(code, { event }), AbortSignal.timeout(15_000));
        expect(outcome).toMatchObject({
          failure: { code: 'out_of_memory', message: 'the kernel ended the function: out of memory' },
          exit: { code: null, signal: 'SIGKILL' },
        });
        await sandbox.destroy();
      },
    );

    test('its environment has nothing of the gateway', async () => {
      const sandbox = await open.backend.create(smallSpec('bash'), never);
      const { Config } = await inspect(sandbox.id);
      await sandbox.destroy();
      const names = (Config.Env ?? []).map((entry) => entry.split('=')[0]);
      const ours = Object.keys(process.env).filter(
        (name) => name !== 'PATH' && !/^(PYTHON|NODE|YARN|GPG|LANG)/.test(name),
      );
      expect(names.filter((name) => name !== undefined && ours.includes(name))).toEqual([]);
    });
  });

  describe('images', () => {
    const docker = new Docker();
    const made: string[] = [];
    let runtimesDir: string;

    beforeAll(async () => {
      runtimesDir = await mkdtemp(join(tmpdir(), 'runtimes-'));
      await cp(engineOptions('images').docker.runtimesDir, runtimesDir, { recursive: true });
      // Images of these tests alone.
      await writeFile(join(runtimesDir, 'python', 'unique'), newInstanceId());
    });
    afterAll(async () => {
      for (const image of made) await docker.getImage(image).remove({ force: true });
      await rm(runtimesDir, { recursive: true });
    });

    async function ensure(runtime: Runtime): Promise<string> {
      const image = await new Images(docker, { ...engineOptions('images').docker, runtimesDir }).ensure(
        runtime,
      );
      if (!made.includes(image)) made.push(image);
      return image;
    }

    test('a changed agent has another image, and the same agent the same', { timeout: 120_000 }, async () => {
      const before = await ensure('bash');
      expect(await ensure('bash')).toBe(before);
      const agent = join(runtimesDir, 'python', 'agent.py');
      await writeFile(agent, `${await readFile(agent, 'utf8')}\n# changed\n`);
      const after = await ensure('bash');
      expect(after).not.toBe(before);
      expect((await docker.getImage(after).inspect()).Config.Labels).toMatchObject({
        'cronium.runtime': 'bash',
      });
    });

    test('an image that is removed is built again at the next create', { timeout: 120_000 }, async () => {
      const image = await ensure('bash');
      const lines: string[] = [];
      const options = { ...engineOptions(newInstanceId()).docker, runtimesDir };
      const launcher = await DockerLauncher.connect({ ...options, onProgress: (line) => lines.push(line) });
      const backend = new AgentBackend(launcher);
      try {
        await launcher.prepare(['bash']);
        expect(lines).toEqual([]);
        await docker.getImage(made.splice(made.indexOf(image), 1)[0]!).remove({ force: true });
        const sandbox = await backend.create(smallSpec('bash'), never);
        made.push(sandbox.image!);
        expect((await inspect(sandbox.id)).Image).toBe(sandbox.image);
        expect(sandbox.image).toMatch(/^sha256:[0-9a-f]{64}$/);
        expect(answerOf(await runIn(sandbox, callOf(ANSWERS_42.bash)))).toBe(42);
        await sandbox.destroy();
        expect(lines.at(0)).toMatch(/building the bash sandbox image/);
      } finally {
        await backend.close();
      }
    });

    test('a base that is not to be had is isolation_unavailable, with the variable to set', async () => {
      const { baseImages, ...options } = engineOptions(newInstanceId()).docker;
      const bash = 'localhost:1/there-is-no:such-image';
      const images = new Images(docker, { ...options, runtimesDir, baseImages: { ...baseImages, bash } });
      await expect(images.ensure('bash')).rejects.toMatchObject({
        code: 'isolation_unavailable',
        message: expect.stringContaining('PYTHON_BASE_IMAGE'),
      });
    });
  });

  function inspect(id: string) {
    return new Docker().getContainer(id).inspect();
  }
});
