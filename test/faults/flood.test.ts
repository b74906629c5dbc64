import { expect, test } from 'vitest';
import { onEngine } from '../on-engine.ts';
import { Served } from './served.ts';

const POOL = 5;
const CALLS = 500;
/** Leaves a mark where the next one would find it, and tells what it found and when it ran. */
const MARKING = `
import os, time
def handler(event, context):
    began = time.time()
    found = os.listdir("/tmp")
    open("/tmp/mark", "w").close()
    time.sleep(0.02)
    return {"found": found, "began": began, "ended": time.time()}
`;

interface Seen {
  found: string[];
  began: number;
  ended: number;
}

const SETTINGS = {
  MAX_CONCURRENT_EXECUTIONS: String(POOL),
  POOL_MIN: '1',
  POOL_TARGET: String(POOL),
  POOL_MAX: String(POOL),
};

await onEngine('bubblewrap', () => {
  test('500 calls at once and a pool of 5: each is answered, in a sandbox of its own, or told when to come again', async () => {
    const env = { ...SETTINGS, MAX_QUEUED_EXECUTIONS: '200', QUEUE_TIMEOUT_MS: '3000' };
    await using gateway = await Served.start({ env });
    await gateway.deploy('marking', 'python', MARKING);
    const answers = await Promise.all(
      Array.from({ length: CALLS }, () => gateway.send('/e/marking', {}, 'alice')),
    );

    const counts: Record<number, number> = {};
    for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
    console.log(`${CALLS} at once, pool of ${POOL}: ${JSON.stringify(counts)}`);
    expect(Object.keys(counts).every((status) => ['200', '429', '503'].includes(status))).toBe(true);
    expect(counts[200]).toBeGreaterThan(POOL);
    for (const { status, headers, problem } of answers) {
      if (status === 200) continue;
      expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      expect(['too_many_requests', 'no_capacity']).toContain(problem?.code);
    }
    const seen = answers.filter(({ status }) => status === 200).map(({ body }) => JSON.parse(body) as Seen);
    expect(seen.flatMap(({ found }) => found)).toEqual([]);
    expect(mostAtOnce(seen)).toBeLessThanOrEqual(POOL);

    // Nothing is left of it, and who comes now is served as ever.
    await gateway.idle();
    expect(await gateway.metric('cronium_queue_length')).toBe(0);
    expect(await gateway.metric('cronium_running')).toBe(0);
    for (let call = 0; call < 10; call++) expect((await gateway.send('/e/marking')).status).toBe(200);
    expect(await gateway.stop()).toEqual({ code: 0, left: [] });
  });

  test('under the flood of one user another’s call is served within a few turns', async () => {
    const TIERS = JSON.stringify({ default: {}, flood: { concurrency: POOL }, calm: { concurrency: 2 } });
    const env = { ...SETTINGS, TIERS, MAX_QUEUED_EXECUTIONS: '400', QUEUE_TIMEOUT_MS: '60000' };
    await using gateway = await Served.start({ env });
    await gateway.deploy('marking', 'python', MARKING, { auth: 'public' });
    const stop = new AbortController();
    let served = 0;
    const flood = Array.from({ length: 300 }, async () => {
      const { status } = await gateway.send('/e/marking', { signal: stop.signal }, 'flo', 'flood');
      if (status === 200) served += 1;
      return status;
    });
    for (const call of flood) call.catch(() => {});
    await expect.poll(() => gateway.metric('cronium_queue_length'), { timeout: 20_000 }).toBeGreaterThan(100);

    const turns: number[] = [];
    for (let call = 0; call < 5; call++) {
      const before = served;
      expect((await gateway.send('/e/marking', {}, 'cal', 'calm')).status).toBe(200);
      turns.push(served - before);
    }
    console.log(`turns of the flood while each of another's calls was served: ${turns.join(', ')}`);
    expect(await gateway.metric('cronium_queue_length')).toBeGreaterThan(20);
    // Those that ran already, and as many again that ended while it ran itself; far from the hundreds that wait.
    for (const passed of turns) expect(passed).toBeLessThanOrEqual(4 * POOL);
    stop.abort();
    await Promise.allSettled(flood);
    await expect.poll(() => gateway.metric('cronium_queue_length'), { timeout: 20_000 }).toBe(0);
    await gateway.idle();
    expect(await gateway.stop()).toEqual({ code: 0, left: [] });
  });
});

/** How many of them ran at the same moment. */
function mostAtOnce(seen: readonly Seen[]): number {
  const changes = seen.flatMap(({ began, ended }) => [
    { at: began, by: 1 },
    { at: ended, by: -1 },
  ]);
  changes.sort((a, b) => a.at - b.at || a.by - b.by);
  let now = 0;
  let most = 0;
  for (const { by } of changes) {
    now += by;
    most = Math.max(most, now);
  }
  return most;
}
