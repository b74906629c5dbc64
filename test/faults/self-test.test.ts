import { readFileSync } from 'node:fs';
import Docker from 'dockerode';
import { expect, test } from 'vitest';
import type { SelfTest } from '../../src/core/self-test.ts';
import { OWNER_LABEL, RUNTIME_LABEL } from '../../src/sandbox/hardening.ts';
import { engineConfig } from '../engines.ts';
import { onEngine } from '../on-engine.ts';
import { type Lie, LyingEngine } from './lying-engine.ts';
import { eventually, Served } from './served.ts';

const HELLO = 'def handler(event, context): return "hello"';
const onTheHostsNetwork: Lie = (asked) => ({
  ...asked,
  NetworkDisabled: false,
  HostConfig: { ...asked.HostConfig, NetworkMode: 'host' },
});
const withoutLimits: Lie = (asked) => ({
  ...asked,
  HostConfig: { ...asked.HostConfig, Memory: 0, MemorySwap: 0, PidsLimit: 0 },
});

/** By runtime. */
async function selfTests(served: Served): Promise<Map<string, SelfTest>> {
  const pools = (await served.pools()) as unknown as { runtime: string; selfTest: SelfTest }[];
  return new Map(pools.map(({ runtime, selfTest }) => [runtime, selfTest]));
}

function tested(served: Served): Promise<Map<string, SelfTest>> {
  return eventually('self-tests', async () => {
    const found = await selfTests(served);
    return [...found.values()].some(({ status }) => status === 'running') ? undefined : found;
  });
}

function linesOf(served: Served, pattern: RegExp): string[] {
  return served.process.stderr.split('\n').filter((line) => pattern.test(line));
}

await onEngine('docker', () => {
  const start = (engine: LyingEngine, env: Record<string, string> = {}) =>
    Served.start({ mode: 'docker', cold: true, env: { DOCKER_HOST: engine.host, RUNTIME: 'runc', ...env } });

  test('an engine that begins to lie is found out, and nobody is served by it', {
    timeout: 90_000,
  }, async () => {
    await using engine = await LyingEngine.between(engineConfig().DOCKER_HOST!);
    await using served = await start(engine);
    const honest = await tested(served);
    expect([...honest.values()].map(({ status }) => status)).toEqual(['passed', 'passed', 'passed']);
    await served.ready();
    await served.deploy('hello', 'python', HELLO);
    expect((await served.send('/e/hello')).body).toBe('"hello"');
    await served.idle();

    engine.lie = onTheHostsNetwork;
    await killWarm(served, engine, 'python');
    const refused = await eventually('refusal', async () => {
      const answer = await served.send('/e/hello');
      return answer.status === 200 ? undefined : answer;
    });
    expect(refused).toMatchObject({ status: 503, problem: { code: 'isolation_unavailable' } });
    expect(refused.headers.get('retry-after')).toBe('30');
    expect(refused.body).not.toMatch(/172\.17|\bat .*:\d+/);
    expect(await served.unready()).toEqual([
      expect.stringMatching(
        /^python: the self-test failed, so that nobody is served: no network \(a route by \w+\)/,
      ),
    ]);
    const { checks } = (await selfTests(served)).get('python')!;
    expect(checks.find(({ id }) => id === 'network')).toMatchObject({
      holds: false,
      promised: true,
      remedy: expect.any(String),
    });
    await expect.poll(() => linesOf(served, /python: the self-test failed/).length).toBe(1);
    // Of the others nothing was found out: they are served as they were.
    await served.deploy('other', 'bash', 'echo other');
    expect((await served.send('/e/other')).body).toBe('other\n');
    expect(await served.stop()).toEqual({ code: 0, left: [] });
  });

  test('an engine that does not limit is refused from the start, and used where no limits are asked for', {
    timeout: 90_000,
  }, async () => {
    await using engine = await LyingEngine.between(engineConfig().DOCKER_HOST!);
    engine.lie = withoutLimits;
    {
      await using served = await start(engine);
      const found = await tested(served);
      for (const { status, checks } of found.values()) {
        expect(status).toBe('failed');
        const lacking = checks.filter(({ promised, holds }) => promised && !holds);
        expect(lacking.map(({ id }) => id)).toEqual(['processes', 'memory']);
      }
      await served.deploy('hello', 'nodejs', 'export const handler = () => "hello";');
      expect(await served.send('/e/hello')).toMatchObject({
        status: 503,
        problem: { code: 'isolation_unavailable' },
      });
      expect((await served.unready()).length).toBe(3);
      // Nothing is kept warm for nobody.
      const pools = await served.pools();
      expect(pools.map(({ ready, starting }) => ready + starting)).toEqual([0, 0, 0]);
      expect(await served.stop()).toEqual({ code: 0, left: [] });
    }
    await using served = await start(engine, { RESOURCE_LIMITS_ENABLED: 'false' });
    const found = await tested(served);
    expect([...found.values()].map(({ status }) => status)).toEqual(['passed', 'passed', 'passed']);
    expect(await served.stop()).toEqual({ code: 0, left: [] });
  });
});

/** As an administrator would, who then changes something. */
async function killWarm(served: Served, engine: LyingEngine, runtime: string): Promise<void> {
  const docker = new Docker({ socketPath: engine.host.replace('unix://', '') });
  const instanceId = readFileSync(`${served.dataDir}/instance-id`, 'utf8').trim();
  const label = [`${RUNTIME_LABEL}=${runtime}`, `${OWNER_LABEL}=${instanceId}`];
  const warm = await docker.listContainers({ filters: { label } });
  expect(warm.length).toBeGreaterThan(0);
  await Promise.all(warm.map(({ Id }) => docker.getContainer(Id).kill()));
}
