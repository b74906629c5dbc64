import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { onEngine } from '../on-engine.ts';
import { type Answer, Served } from './served.ts';

const TIERS = {
  default: { memoryMb: 256, cpus: 1, timeoutMs: 20_000 },
  narrow: { concurrency: 1, memoryMb: 64, cpus: 0.5, timeoutMs: 1_000 },
  rated: { ratePerMinute: 3 },
};
const WAIT =
  'import time\ndef handler(event, context):\n    time.sleep(0.4)\n    return context.aws_request_id';

const retryAfterOf = ({ headers }: Answer) => Number(headers.get('retry-after'));

await onEngine('bubblewrap', () => {
  describe('tiers', () => {
    let gateway: Served;
    beforeAll(async () => {
      gateway = await Served.start({
        env: { TIERS: JSON.stringify(TIERS), QUEUE_TIMEOUT_MS: '500', DEFAULT_TIMEOUT_MS: '15000' },
      });
      await gateway.deploy('wait', 'python', WAIT, { auth: 'public' });
      await gateway.deploy('quick', 'bash', 'echo 1', { auth: 'public' });
    });
    afterAll(async () => {
      const ended = await gateway.stop();
      await gateway[Symbol.asyncDispose]();
      expect(ended).toEqual({ code: 0, left: [] });
    });

    test('a user of one slot waits for it or is told when to come again, and comes then in vain no more', async () => {
      const calls = Array.from({ length: 6 }, () => gateway.send('/e/wait', {}, 'nora', 'narrow'));
      const others = await Promise.all([
        gateway.send('/e/quick', {}, 'omar'),
        gateway.send('/e/quick', {}, 'pia'),
      ]);
      expect(others.map(({ status }) => status)).toEqual([200, 200]);
      const answers = await Promise.all(calls);
      const refused = answers.filter(({ status }) => status !== 200);
      expect(refused.length).toBeGreaterThan(0);
      expect(refused.length).toBeLessThan(6);
      for (const answer of refused) {
        expect(answer.problem).toMatchObject({ status: 429, code: 'too_many_requests' });
        expect(retryAfterOf(answer)).toBeGreaterThanOrEqual(1);
      }
      await sleep(retryAfterOf(refused[0]!) * 1_000);
      expect((await gateway.send('/e/wait', {}, 'nora', 'narrow')).status).toBe(200);
    });

    test('a user over the rate is told how long the minute lasts, and another of the same tier is not', async () => {
      const rate = () => gateway.send('/e/quick', {}, 'rita', 'rated');
      const first = performance.now();
      for (let call = 0; call < 3; call++) expect((await rate()).status).toBe(200);
      const refused = await rate();
      expect(refused.problem).toMatchObject({
        status: 429,
        detail: expect.stringContaining('3 invocations'),
      });
      const passed = (performance.now() - first) / 1_000;
      expect(retryAfterOf(refused)).toBeLessThanOrEqual(60);
      expect(retryAfterOf(refused)).toBeGreaterThanOrEqual(Math.floor(60 - passed));
      expect((await gateway.send('/e/quick', {}, 'rolf', 'rated')).status).toBe(200);
    });

    test.skipIf(!process.env.FAULTS_LONG)(
      'a user over the rate who comes again when told is served',
      async () => {
        const rate = () => gateway.send('/e/quick', {}, 'ruth', 'rated');
        for (let call = 0; call < 3; call++) expect((await rate()).status).toBe(200);
        await sleep(retryAfterOf(await rate()) * 1_000);
        expect((await rate()).status).toBe(200);
      },
      90_000,
    );

    test('a deploy over the limits of the tier names each of them and the most it allows', async () => {
      const tooMuch = { memoryMb: 128, cpus: 1, timeoutMs: 2_000 };
      const { problem } = await gateway.tryDeploy('greedy', 'bash', 'echo 1', tooMuch, 'nora', 'narrow');
      expect(problem).toMatchObject({ status: 422, code: 'validation_failed' });
      expect(problem?.errors).toEqual([
        { path: 'timeoutMs', message: 'must be at most 1000, which is your tier’s' },
        { path: 'memoryMb', message: 'must be at most 64, which is your tier’s' },
        { path: 'cpus', message: 'must be at most 0.5, which is your tier’s' },
      ]);
      expect((await gateway.send('/e/greedy', {}, 'nora', 'narrow')).status).toBe(404);
      const unknown = await gateway.tryDeploy('greedy', 'bash', 'echo 1', { memoryMb: 257 }, 'nora', 'gold');
      expect(unknown.problem?.errors).toMatchObject([{ path: 'memoryMb' }]);
    });

    test('a deploy without limits gets the defaults, or what the tier allows where that is less', async () => {
      const deployed = await gateway.tryDeploy('modest', 'bash', 'echo 1', {}, 'nora', 'narrow');
      expect(JSON.parse(deployed.body)).toMatchObject({ memoryMb: 64, cpus: 0.5, timeoutMs: 1_000 });
      const other = await gateway.tryDeploy('usual', 'bash', 'echo 1', {}, 'omar');
      expect(JSON.parse(other.body)).toMatchObject({ memoryMb: 128, cpus: 1, timeoutMs: 15_000 });
    });

    test('a change over the limits is refused, and what was allowed once may stay', async () => {
      await gateway.tryDeploy('changing', 'bash', 'echo 1', { memoryMb: 200 }, 'nora');
      const change = (method: string, body: object) => {
        const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
        const headers = { 'content-type': type };
        return gateway.send(
          '/v1/events/changing',
          { method, headers, body: JSON.stringify(body) },
          'nora',
          'narrow',
        );
      };
      expect((await change('PATCH', { memoryMb: 201 })).problem?.errors).toMatchObject([
        { path: 'memoryMb' },
      ]);
      const replaced = await change('PUT', { runtime: 'bash', code: 'echo 2', memoryMb: 200 });
      expect(replaced.problem?.errors).toMatchObject([{ path: 'memoryMb' }]);
      expect((await change('PATCH', { enabled: false })).status).toBe(200);
      expect(JSON.parse((await change('PATCH', { memoryMb: 32 })).body)).toMatchObject({ memoryMb: 32 });
      const back = await change('PATCH', { memoryMb: null, cpus: null, timeoutMs: null });
      expect(JSON.parse(back.body)).toMatchObject({ memoryMb: 64, cpus: 0.5, timeoutMs: 1_000 });
    });
  });

  test('on a host that is short of memory nothing boots, and callers and the operator are told so', async () => {
    await using gateway = await Served.start({
      cold: true,
      env: { MIN_FREE_MEMORY_MB: '1048576', QUEUE_TIMEOUT_MS: '300' },
    });
    await gateway.deploy('quick', 'bash', 'echo 1', { auth: 'public' });
    const answer = await gateway.send('/e/quick');
    expect(answer.problem).toMatchObject({
      status: 503,
      code: 'no_capacity',
      detail: expect.stringContaining('short of memory'),
    });
    expect(retryAfterOf(answer)).toBeGreaterThanOrEqual(1);
    expect(await gateway.unready()).toContainEqual(expect.stringContaining('short of memory'));
    expect((await gateway.pools()).reduce((sum, { starting, ready }) => sum + starting + ready, 0)).toBe(0);
    expect(await gateway.stop()).toEqual({ code: 0, left: [] });
  });
});
