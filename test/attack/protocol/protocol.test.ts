import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Admission } from '../../../src/core/admission.ts';
import { systemClock } from '../../../src/core/clock.ts';
import type { Invocation } from '../../../src/core/invocation.ts';
import { SandboxInvoker } from '../../../src/core/invoker.ts';
import { Pools } from '../../../src/core/pools.ts';
import { WIDEST_TIER } from '../../../src/core/tiers.ts';
import { GatewayError, STATUS_OF } from '../../../src/errors.ts';
import { AgentBackend } from '../../../src/sandbox/backend.ts';
import { BubblewrapLauncher } from '../../../src/sandbox/bubblewrap.ts';
import { DockerLauncher } from '../../../src/sandbox/docker.ts';
import { event } from '../../core/gateway.ts';
import { engineConfig, engineOptions, newInstanceId, tracesOfContainers } from '../../engines.ts';
import { LyingEngine } from '../../faults/lying-engine.ts';
import { eventually } from '../../faults/served.ts';
import { onEngine } from '../../on-engine.ts';
import { eventuallyNone, tracesOfBubblewrap } from '../../traces.ts';
import { PROTOCOL_ATTACKS, type ProtocolAttack } from './attacks.ts';

const AGENT = new URL('./agent.py', import.meta.url);
const never = new AbortController().signal;
const HONEST = 'raw(frame(LOG, b"said") + frame(RESULT, "honest") + frame(END, OK))';

/** Sandboxes with the hostile agent in the place of the real one. */
interface Hostile {
  backend: AgentBackend;
  left(): Promise<string[]>;
  close(): Promise<void>;
}

async function onBubblewrap(): Promise<Hostile> {
  const runtimesDir = mkdtempSync(join(tmpdir(), 'hostile-'));
  mkdirSync(join(runtimesDir, 'python'));
  copyFileSync(AGENT, join(runtimesDir, 'python/agent.py'));
  const instanceId = newInstanceId();
  const { bubblewrap } = engineOptions(instanceId);
  const backend = new AgentBackend(await BubblewrapLauncher.connect({ ...bubblewrap, runtimesDir }));
  return {
    backend,
    left: async () => tracesOfBubblewrap(instanceId).sandboxes,
    close: async () => {
      await backend.close();
      rmSync(runtimesDir, { recursive: true });
    },
  };
}

async function onDocker(): Promise<Hostile> {
  const engine = await LyingEngine.between(engineConfig().DOCKER_HOST!);
  const agent = readFileSync(AGENT, 'utf8');
  engine.lie = (asked) => ({ ...asked, Entrypoint: ['python3', '-I', '-c', agent, '--runtime', 'python'] });
  const instanceId = newInstanceId();
  const { docker } = engineOptions(instanceId);
  const backend = new AgentBackend(
    await DockerLauncher.connect({ ...docker, host: engine.host }, { name: 'runc' }),
  );
  return {
    backend,
    left: async () => (await tracesOfContainers(instanceId)).sandboxes,
    close: async () => {
      await backend.close();
      await engine[Symbol.asyncDispose]();
    },
  };
}

await onEngine('docker', () => suite(onDocker));
await onEngine('bubblewrap', () => suite(onBubblewrap));

function suite(open: () => Promise<Hostile>): void {
  let hostile: Hostile;
  let pools: Pools;
  let invoker: SandboxInvoker;
  const records = new Map<string, Invocation>();

  beforeAll(async () => {
    hostile = await open();
    pools = new Pools({
      backend: hostile.backend,
      clock: systemClock,
      bootTimeoutMs: 30_000,
      random: Math.random,
      onEngineError: () => {},
      targets: { min: 0, target: 0, max: 8, idleMs: 60_000, maxAgeMs: 600_000 },
      maxBooting: 4,
      maxSandboxes: 8,
    });
    invoker = new SandboxInvoker({
      admission: new Admission({ maxRunning: 4, maxQueued: 1_000 }),
      pools,
      grade: hostile.backend,
      clock: systemClock,
      record: (invocation) => records.set(invocation.id, invocation),
      onEngineError: () => {},
      options: {
        queueTimeoutMs: 60_000,
        pids: 32,
        tmpBytes: 2 ** 20,
        runBytes: 2 ** 20,
        tiers: { default: WIDEST_TIER },
        callLimits: { logBytes: 16_384, responseBytes: 262_144, streamBytes: 262_144 },
      },
    });
  });

  afterAll(async () => {
    await invoker.close(0);
    await pools.close();
    expect(await eventuallyNone(() => hostile.left())).toEqual([]);
    await hostile.close();
  });

  let calls = 0;
  async function call(
    code: string,
    timeoutMs = 20_000,
  ): Promise<{ came: ProtocolAttack['comesTo']; id: string }> {
    calls += 1;
    const id = `invocation-${calls}`;
    const limits = { timeoutMs, memoryMb: 64, cpus: 1 };
    const caller = { userId: 'mallory', tier: null };
    const request = { id, event: event({ code, limits }), caller, payload: {}, forceCold: false };
    try {
      const { body } = await invoker.invoke(request, never);
      const whole =
        body instanceof Uint8Array ? Buffer.from(body) : await buffer(body).catch(() => undefined);
      if (whole === undefined) return { came: { cut: (await recordOf(id)).error!.code as never }, id };
      return { came: { answered: whole.toString() }, id };
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      expect(error.message).not.toMatch(/\bat .*:\d+/);
      return { came: { code: error.code }, id };
    }
  }

  const recordOf = (id: string) => eventually(`record of ${id}`, async () => records.get(id));

  test.concurrent.each(Object.entries(PROTOCOL_ATTACKS))(
    'an agent that %s',
    { timeout: 60_000 },
    async (_name, attack) => {
      const { code, comesTo, timeoutMs } = attack;
      const { came, id } = await call(code, timeoutMs);
      expect(came).toEqual(comesTo);
      const { status, error } = await recordOf(id);
      if ('answered' in comesTo) expect(status).toBe('succeeded');
      else {
        const promised = 'cut' in comesTo ? comesTo.cut : comesTo.code;
        expect(error?.code).toBe(promised);
        expect(status).toBe(promised === 'function_timeout' ? 'timed_out' : 'failed');
        expect(STATUS_OF[promised]).toBe(promised === 'function_timeout' ? 504 : 502);
      }
      // Nobody else's call is touched, and nothing is in objects that was not there.
      expect((await call(HONEST)).came).toEqual({ answered: '"honest"' });
      expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    },
  );

  test('after all of them, a call is answered as ever', async () => {
    expect((await call(HONEST)).came).toEqual({ answered: '"honest"' });
  });

  test('claims of 4 GiB and floods cost the gateway no memory', { timeout: 60_000 }, async () => {
    const used = () => process.memoryUsage().arrayBuffers + process.memoryUsage().external;
    const before = used();
    const code = `${PROTOCOL_ATTACKS['claims a result of 4 GiB']!.code}`;
    const ended = await Promise.all(Array.from({ length: 12 }, () => call(code)));
    for (const { came } of ended) expect(came).toEqual({ code: 'invalid_response' });
    expect(used() - before).toBeLessThan(32 * 2 ** 20);
  });
}
