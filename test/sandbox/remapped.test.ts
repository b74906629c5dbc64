import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { RUNTIMES } from '../../src/core/event.ts';
import { broken } from '../../src/core/self-test.ts';
import { AgentBackend } from '../../src/sandbox/backend.ts';
import { DockerLauncher } from '../../src/sandbox/docker.ts';
import type { WantedRuntime } from '../../src/sandbox/oci-runtime.ts';
import { selfTest } from '../../src/sandbox/self-test/self-test.ts';
import { FIRST_SANDBOX_UID } from '../../src/sandbox/uids.ts';
import { ANSWERS_42, answerOf, callOf, runIn, smallSpec } from '../contract/calls.ts';
import { engineOptions, newInstanceId } from '../engines.ts';
import { OwnEngine, REMAPPED_TO } from '../faults/own-engine.ts';
import { onEngine } from '../on-engine.ts';

const never = new AbortController().signal;

await onEngine('docker+runsc', () => {
  describe('an engine that remaps users', () => {
    let engine: OwnEngine;
    let launcher: DockerLauncher;
    let backend: AgentBackend;

    beforeAll(async () => {
      engine = await OwnEngine.start(undefined, 'remapped');
    });
    afterEach(() => backend.close());
    afterAll(async () => {
      expect(await engine.sandboxes()).toEqual([]);
      await engine[Symbol.asyncDispose]();
    });

    async function connect(wanted: WantedRuntime): Promise<void> {
      const options = { ...engineOptions(newInstanceId(), 'enhanced').docker, host: engine.host };
      launcher = await DockerLauncher.connect(options, wanted);
      backend = new AgentBackend(launcher);
      await launcher.prepare(RUNTIMES);
    }

    test.each<[string, WantedRuntime]>([
      ['runc', { name: 'runc' }],
      ['gVisor', 'gvisor'],
    ])('keeps all that is promised with %s, in every language', async (_, wanted) => {
      await connect(wanted);
      expect(launcher.notes).toContainEqual(expect.stringMatching(/^users are remapped/));
      for (const runtime of RUNTIMES) {
        const sandbox = await backend.create(smallSpec(runtime), never);
        const heard = await runIn(sandbox, callOf(ANSWERS_42[runtime]));
        expect(answerOf(heard), runtime).toBe(42);
        await sandbox.destroy();
        expect(broken(await selfTest(backend, runtime, true, never)), runtime).toEqual([]);
      }
    });

    test("has a sandbox's user be nobody of the host's", async () => {
      await connect({ name: 'runc' });
      const sandbox = await backend.create(smallSpec('bash'), never);
      const { State } = await engine.docker.getContainer(sandbox.id).inspect();
      const status = await readFile(`/proc/${State.Pid}/status`, 'utf8');
      const [uid] = /^Uid:\s+(\d+)/m.exec(status)!.slice(1).map(Number);
      await sandbox.destroy();
      expect(uid).toBeGreaterThanOrEqual(REMAPPED_TO + FIRST_SANDBOX_UID);
      expect(uid).toBeLessThan(REMAPPED_TO + FIRST_SANDBOX_UID + 1000);
    });
  });
});
