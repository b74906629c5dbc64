import { afterEach, describe, expect, test } from 'vitest';
import { ConfigError, parseConfig } from '../../src/config.ts';
import type { PoolStatus } from '../../src/core/pool.ts';
import { poolSamples } from '../../src/observe/metric-shapes.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { hangs } from '../core/fakes.ts';
import { invocation } from './fixtures.ts';
import { Watched } from './watched.ts';

const TOKEN = 'a-token-for-prometheus';
let gateway: Watched | undefined;
afterEach(async () => {
  await gateway?.[Symbol.asyncDispose]();
  gateway = undefined;
});

async function open(...args: Parameters<typeof Watched.open>): Promise<Watched> {
  gateway = await Watched.open(...args);
  await gateway.harness.deploy({ name: 'private-name', auth: 'public', timeoutMs: 50 });
  return gateway;
}

const call = (watched: Watched) => watched.harness.app.request('/e/private-name?q=1');

describe('the metrics', () => {
  test('count invocations by runtime, status and start, and their phases', async () => {
    const watched = await open();
    await call(watched);
    await expect
      .poll(() => watched.metrics())
      .toContain('cronium_invocations_total{runtime="python",status="succeeded",start="cold"} 1');
    const lines = await watched.metrics();
    for (const phase of ['admit', 'acquire', 'inject', 'exec', 'destroy']) {
      expect(lines).toContain(`cronium_invocation_phase_seconds_count{runtime="python",phase="${phase}"} 1`);
    }
    expect(lines).toContain('cronium_sandbox_boot_seconds_count{runtime="python",outcome="ok"} 1');
    expect(lines).toContain('cronium_pool_starts_total{pool="python/512mb/0.5cpu",start="cold"} 1');
    expect(lines).toContain('cronium_http_requests_total{method="GET",route="/e/:event",status="200"} 1');
    expect(lines).toContain('cronium_running 0');
  });

  test('count lookups of events, whoever reads them how often', async () => {
    const metrics = new Metrics({ version: '1.2.3', eventLabel: false });
    metrics.eventLookedUp('hit');
    metrics.eventLookedUp('hit');
    await metrics.render();
    const { body } = await metrics.render();
    expect(body).toContain('cronium_event_cache_lookups_total{result="hit"} 2');
    expect(body).toContain('cronium_event_cache_lookups_total{result="miss"} 0');
  });

  test('measure from 0.1 ms on', async () => {
    const watched = await open();
    await call(watched);
    await expect
      .poll(async () => (await watched.metrics()).join('\n'))
      .toContain('le="0.0001",runtime="python"');
  });

  test('tell a function’s failure from a refusal, each by its code', async () => {
    const watched = await open({}, { maxRunning: 1, maxQueued: 0 });
    watched.script = hangs;
    const [first, second] = await Promise.all([call(watched), call(watched)]);
    expect([first.status, second.status].sort()).toEqual([503, 504]);
    await expect
      .poll(() => watched.metrics())
      .toContain('cronium_invocation_errors_total{runtime="python",code="function_timeout"} 1');
    const lines = await watched.metrics();
    expect(lines).toContain('cronium_refusals_total{code="no_capacity"} 1');
    expect(lines).toContain('cronium_http_problems_total{code="no_capacity"} 1');
  });

  test('count sandboxes that do not boot, as failures of the engine too', async () => {
    const watched = await open();
    watched.backend.auto = false;
    const answered = call(watched);
    await expect.poll(() => watched.backend.boots.length).toBe(1);
    watched.backend.boots[0]!.fail();
    await answered;
    const lines = await watched.metrics();
    expect(lines).toContain('cronium_sandbox_boot_seconds_count{runtime="python",outcome="failed"} 1');
    expect(lines).toContain('cronium_engine_errors_total{at="boot"} 1');
  });

  test('have no names of events or users in them', async () => {
    const watched = await open();
    await call(watched);
    await watched.harness.send('GET', '/v1/events/private-name');
    expect((await watched.metrics()).join('\n')).not.toMatch(/private-name|alice/);
  });

  test('are for everybody without METRICS_TOKEN, and with it only for who has it', async () => {
    expect((await (await open()).harness.app.request('/metrics')).status).toBe(200);
    await gateway![Symbol.asyncDispose]();
    const watched = await open({ METRICS_TOKEN: TOKEN });
    const statusWith = async (authorization: string) =>
      (await watched.harness.app.request('/metrics', { headers: { authorization } })).status;
    expect((await watched.harness.app.request('/metrics')).headers.get('www-authenticate')).toMatch(
      /^Bearer/,
    );
    expect(await statusWith(`Bearer ${TOKEN}x`)).toBe(401);
    expect(await statusWith(`Basic ${TOKEN}`)).toBe(401);
    expect(await statusWith(`Bearer ${TOKEN}`)).toBe(200);
  });

  test('name events only where asked to, and then never without a token', async () => {
    expect(() => parseConfig({ METRICS_EVENT_LABEL: 'true' })).toThrow(ConfigError);
    const watched = await open({ METRICS_EVENT_LABEL: 'true', METRICS_TOKEN: TOKEN });
    await call(watched);
    await expect
      .poll(() => watched.metrics({ authorization: `Bearer ${TOKEN}` }))
      .toContain('cronium_event_invocations_total{event="private-name",status="succeeded"} 1');
  });

  test('stay of bounded size, whatever is deployed', async () => {
    const metrics = new Metrics({ version: '0', eventLabel: true });
    for (let i = 0; i < 2_000; i++)
      metrics.invocationEnded(invocation({ eventName: `event-${i}` }), 'python');
    const { body } = await metrics.render();
    expect(body.match(/^cronium_event_invocations_total\{/gm)).toHaveLength(501);
    expect(body).toContain('cronium_event_invocations_total{event="other",status="succeeded"} 1500');

    const pool = { runtime: 'python', target: 1, starting: 0, ready: 1, taken: 0, waiting: 0 } as PoolStatus;
    const pools = Array.from({ length: 60 }, (_, i) => ({ ...pool, key: `python/${i}mb/1cpu` }));
    const samples = poolSamples(pools);
    expect(samples).toHaveLength(51);
    expect(samples.at(-1)).toMatchObject({ pool: 'other', ready: 10 });
  });

  test('of one gateway are not those of another in the same process', async () => {
    const watched = await open();
    await call(watched);
    await using other = await Watched.open();
    expect((await other.metrics()).join('\n')).not.toContain('status="succeeded"');
  });
});
