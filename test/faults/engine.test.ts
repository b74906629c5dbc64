import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { instanceIdOf } from '../e2e/processes.ts';
import { onEngine } from '../on-engine.ts';
import { killBubblewrap } from '../traces.ts';
import { OwnEngine } from './own-engine.ts';
import { type Answer, eventually, Served } from './served.ts';

const HELLO = 'def handler(event, context):\n    return "hello"';
const SLEEP = 'import time\ndef handler(event, context):\n    time.sleep(600)';
const QUEUE_TIMEOUT_MS = 2_000;
const CALL_TIMEOUT_MS = 2_000;
/** Deadlines of the queue and of the call, and what a busy machine takes on top. */
const ANSWERED_WITHIN_MS = QUEUE_TIMEOUT_MS + CALL_TIMEOUT_MS + 5_000;
const RECOVERED_WITHIN_MS = 30_000;

const ENV = { QUEUE_TIMEOUT_MS: String(QUEUE_TIMEOUT_MS), BOOT_TIMEOUT_MS: '10000', POOL_TARGET: '2' };

/** Calls, one after another with several at once, until told to stop; every one of them must be answered. */
function keepCalling(gateway: Served, name: string) {
  let stopped = false;
  const answers: (Answer & { ms: number })[] = [];
  const caller = async () => {
    while (!stopped) {
      const begun = performance.now();
      const answer = await gateway.send(`/e/${name}`);
      answers.push({ ...answer, ms: performance.now() - begun });
      await sleep(50);
    }
  };
  const callers = Promise.all([caller(), caller(), caller()]);
  // A test that fails ends its gateway under them.
  callers.catch(() => {});
  return async () => {
    stopped = true;
    await callers;
    return answers;
  };
}

/** All of them in time, and told when to come again if not served. */
function expectAnswered(
  answers: readonly (Answer & { ms: number })[],
  alsoStatuses: readonly number[],
): void {
  for (const { status, headers, body, ms } of answers) {
    expect([200, 503, ...alsoStatuses], body).toContain(status);
    if (status === 503) expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect(ms).toBeLessThan(ANSWERED_WITHIN_MS);
  }
}

async function expectWarmAgain(gateway: Served): Promise<void> {
  const served = await eventually(
    'warm answer',
    async () => {
      const answer = await gateway.send('/e/hello');
      return answer.headers.get('x-cronium-start') === 'warm' ? answer : undefined;
    },
    RECOVERED_WITHIN_MS,
  );
  expect(served.body).toBe('"hello"');
  await eventually(
    'readiness',
    async () => ((await gateway.unready()).length === 0 ? true : undefined),
    RECOVERED_WITHIN_MS,
  );
}

await onEngine('docker', () => {
  describe.skipIf(process.getuid?.() !== 0)('a Docker engine', () => {
    let engine: OwnEngine;
    let gateway: Served;
    beforeAll(async () => {
      engine = await OwnEngine.start();
    });
    afterAll(() => engine?.[Symbol.asyncDispose]());
    beforeEach(async () => {
      // What a test that failed has left stopped must not fail the others.
      await engine.do('start');
      gateway = await Served.start({ mode: 'docker', env: { ...ENV, DOCKER_HOST: engine.host } });
      await gateway.deploy('hello', 'python', HELLO, { timeoutMs: CALL_TIMEOUT_MS });
      await gateway.deploy('sleep', 'python', SLEEP, { timeoutMs: 60_000 });
    });
    afterEach(() => gateway?.[Symbol.asyncDispose]());

    /** What the pools say they have is what there is: nothing of before is left. */
    const expectOnlyTheWarm = () =>
      eventually(
        'engine with nothing but warm sandboxes',
        async () => {
          const pools = await gateway.pools();
          const ready = pools.reduce((sum, pool) => sum + pool.ready, 0);
          const others = pools.some(({ starting, taken }) => starting + taken > 0);
          return !others && (await engine.sandboxes()).length === ready ? true : undefined;
        },
        RECOVERED_WITHIN_MS,
      );
    const expectNothingLeft = async () => {
      expect(await gateway.stop()).toEqual({ code: 0, left: [] });
      expect(await engine.sandboxes()).toEqual([]);
    };

    test.each(['stop', 'kill'] as const)(
      'that is gone (%s) and comes back: calls are told to come again, and served again without help',
      async (how) => {
        const interrupted = gateway.send('/e/sleep');
        await eventually(
          'call',
          async () => (await gateway.pools()).some(({ taken }) => taken > 0) || undefined,
        );
        const calls = keepCalling(gateway, 'hello');
        await engine.do(how);
        expect((await interrupted).status).toBe(502);
        const refused = await eventually('refusal', async () => {
          const answer = await gateway.send('/e/hello');
          return answer.status === 503 ? answer : undefined;
        });
        expect(refused.problem).toMatchObject({ code: 'engine_unavailable' });
        await eventually('reason', async () =>
          /engine did not start a python sandbox/.test((await gateway.unready()).join()) ? true : undefined,
        );
        await sleep(1_500);
        await engine.do('start');
        await eventually(
          'answer',
          async () => ((await gateway.send('/e/hello')).status === 200 ? true : undefined),
          RECOVERED_WITHIN_MS,
        );
        const answers = await calls();
        await expectWarmAgain(gateway);
        expectAnswered(answers, [502]);
        expect(answers.filter(({ status }) => status === 503).length).toBeGreaterThan(0);
        await expectOnlyTheWarm();
        await expectNothingLeft();
      },
      120_000,
    );

    test('that hangs: no call waits beyond its deadline, and all goes on when it does', async () => {
      const calls = keepCalling(gateway, 'hello');
      await sleep(500);
      await engine.do('freeze');
      try {
        await sleep(ANSWERED_WITHIN_MS);
        expect((await gateway.send('/healthz')).status).toBe(200);
        expect(await gateway.unready()).not.toEqual([]);
      } finally {
        await engine.do('thaw');
      }
      await eventually(
        'answer',
        async () => ((await gateway.send('/e/hello')).status === 200 ? true : undefined),
        RECOVERED_WITHIN_MS,
      );
      expectAnswered(await calls(), [502, 504]);
      await expectWarmAgain(gateway);
      await expectOnlyTheWarm();
      await expectNothingLeft();
    }, 120_000);

    test('that hangs does not keep a gateway from stopping, and its next start removes what it had to leave', async () => {
      await engine.do('freeze');
      try {
        gateway.send('/e/hello').catch(() => {});
        gateway.process.signal('SIGTERM');
        const late = sleep(40_000, 'still running');
        expect(await Promise.race([gateway.process.ended.then(({ code }) => code), late])).toBe(0);
      } finally {
        await engine.do('thaw');
      }
      const { dataDir } = gateway;
      await using next = await Served.start({
        mode: 'docker',
        env: { ...ENV, DOCKER_HOST: engine.host },
        dataDir,
      });
      expect(await next.stop()).toEqual({ code: 0, left: [] });
      expect(await engine.sandboxes()).toEqual([]);
    }, 120_000);

    test('that has lost its images: they are built again, and callers wait or are told to come again', async () => {
      const images = await engine.docker.listImages({ filters: { label: ['cronium.runtime'] } });
      expect(images.length).toBeGreaterThan(0);
      for (const tag of images.flatMap(({ RepoTags }) => RepoTags ?? []))
        await engine.docker.getImage(tag).remove({ force: true });
      const calls = keepCalling(gateway, 'hello');
      await gateway.deploy('small', 'python', HELLO, { memoryMb: 64 });
      const cold = await eventually('cold start', async () => {
        const answer = await gateway.send('/e/small');
        if (answer.status !== 200) expectAnswered([{ ...answer, ms: 0 }], []);
        return answer.status === 200 ? answer : undefined;
      });
      expect(cold.headers.get('x-cronium-start')).toBe('cold');
      expectAnswered(await calls(), []);
      await expectOnlyTheWarm();
      await expectNothingLeft();
    }, 120_000);
  });
});

await onEngine('bubblewrap', () => {
  test('all sandboxes of a gateway killed at once: calls under way fail, the next are served, nothing is left', async () => {
    await using gateway = await Served.start({ env: ENV });
    await gateway.deploy('hello', 'python', HELLO, { timeoutMs: CALL_TIMEOUT_MS });
    await gateway.deploy('sleep', 'python', SLEEP, { timeoutMs: 60_000 });
    for (let round = 0; round < 3; round++) {
      const interrupted = [gateway.send('/e/sleep'), gateway.send('/e/sleep')];
      await eventually('calls', async () =>
        (await gateway.pools()).some(({ taken }) => taken === 2) ? true : undefined,
      );
      await killBubblewrap(instanceIdOf(gateway.dataDir));
      for (const call of interrupted) expect((await call).problem).toMatchObject({ status: 502 });
      expect((await gateway.send('/e/hello')).status).toBe(200);
      await expectWarmAgain(gateway);
    }
    expect(await gateway.stop()).toEqual({ code: 0, left: [] });
  }, 120_000);
});
