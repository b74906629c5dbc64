import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SandboxBackend } from '../../src/core/sandbox.ts';
import { AgentBackend } from '../../src/sandbox/backend.ts';
import { DockerLauncher } from '../../src/sandbox/docker.ts';
import type { WantedRuntime } from '../../src/sandbox/oci-runtime.ts';
import { engineConfig, engineOptions, newInstanceId } from '../engines.ts';
import { onEngine } from '../on-engine.ts';
import { OwnEngine } from './own-engine.ts';

const FLAGS = ['--platform=ptrace', '--network=none'];

await onEngine('docker+runsc', () => {
  describe('a runtime is what it is found to be, not what it is called', () => {
    const runsc = execFileSync('which', ['runsc'], { encoding: 'utf8' }).trim();
    let engine: OwnEngine;

    beforeAll(async () => {
      engine = await OwnEngine.start([engineConfig().PYTHON_BASE_IMAGE]);
    });
    afterAll(async () => {
      expect(await engine.sandboxes()).toEqual([]);
      await engine[Symbol.asyncDispose]();
    });

    async function connect(wanted: WantedRuntime, limitsEnabled = true): Promise<SandboxBackend> {
      const options = { ...engineOptions(newInstanceId()).docker, host: engine.host, limitsEnabled };
      return new AgentBackend(await DockerLauncher.connect(options, wanted));
    }

    /** What is found, with nothing left behind. */
    async function found(wanted: WantedRuntime, limitsEnabled = true) {
      const backend = await connect(wanted, limitsEnabled);
      await backend.close();
      return [backend.isolation, backend.kernel];
    }

    test('a runsc that is really runc is refused', async () => {
      await engine.setRuntimes({ runsc: { path: 'runc' } });
      await expect(connect('gvisor')).rejects.toMatchObject({
        message: expect.stringMatching(/^the runtime runsc is not gVisor: .* runs on the kernel \d/),
        remedy: expect.stringContaining('Install gVisor'),
      });
      await expect(connect({ name: 'runsc' })).rejects.toThrow('is not gVisor');
      expect(await found('default')).toEqual(['docker+runc', 'host']);
    });

    test('a gVisor that leaves memory without a limit is refused, unless limits are switched off', async () => {
      await engine.setRuntimes({ runsc: { path: runsc, runtimeArgs: [...FLAGS, '--ignore-cgroups'] } });
      await expect(connect('gvisor')).rejects.toMatchObject({
        message: 'the runtime runsc does not bound the memory of its sandboxes',
        remedy: expect.stringContaining('--ignore-cgroups'),
      });
      expect(await found('gvisor', false)).toEqual(['docker+runsc', 'gvisor']);
    });

    test('gVisor by another name is found, and is gVisor', async () => {
      await engine.setRuntimes({ strong: { path: runsc, runtimeArgs: FLAGS } });
      expect(await found('gvisor')).toEqual(['docker+strong', 'gvisor']);
      expect(await found({ name: 'strong' })).toEqual(['docker+strong', 'gvisor']);
    });

    test("another name for runc has the host's kernel", async () => {
      await engine.setRuntimes({ crun: { path: '/usr/sbin/runc' } });
      expect(await found({ name: 'crun' })).toEqual(['docker+crun', 'host']);
    });

    test('one that is listed and not installed is refused', async () => {
      await engine.setRuntimes({ runsc: { path: '/nowhere/runsc' } });
      await expect(connect('gvisor')).rejects.toThrow(/did not start a python sandbox: .*\/nowhere\/runsc/);
    });
  });
});
