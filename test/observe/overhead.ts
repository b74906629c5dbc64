/**
 * What watching costs a call, in this process: the whole HTTP side around an invoker that answers at once, with and without
 * the log, the metrics and the traces. Run it with: node test/observe/overhead.ts
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '../../src/config.ts';
import { RUNTIMES } from '../../src/core/event.ts';
import type { Invocation } from '../../src/core/invocation.ts';
import type { Observer, Tracer } from '../../src/core/observer.ts';
import { createLog } from '../../src/logger.ts';
import { openObservability } from '../../src/observe/observability.ts';
import { Harness } from '../http/harness.ts';
import { invocation } from './fixtures.ts';

const CALLS = 400;
const ROUNDS = 60;

const dir = mkdtempSync(join(tmpdir(), 'cronium-overhead-'));
const log = createLog('info', join(dir, 'log'));
const seeing = await openObservability({ config: parseConfig({}), log });
const traced = await openObservability({
  config: parseConfig({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' }),
  log: createLog('silent'),
});
const { metrics, onAnswered } = seeing;
const quiet = { onAnswered: (request: Parameters<typeof onAnswered>[0]) => metrics.requestAnswered(request) };

const variants: Record<string, { harness: Harness; observer?: Observer; tracer?: Tracer }> = {
  bare: { harness: await Harness.open() },
  metrics: { harness: await Harness.open(quiet), observer: metrics },
  'metrics, log': { harness: await Harness.open({ onAnswered }), observer: metrics },
  'metrics, log, traces': {
    harness: await Harness.open({ onAnswered }),
    observer: metrics,
    tracer: traced.tracer!,
  },
};

const times = new Map<string, number[]>(Object.keys(variants).map((name) => [name, []]));
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, variant] of Object.entries(variants)) times.get(name)!.push(await time(variant));
}
const least = (values: number[]) => Math.min(...values);
const bare = least(times.get('bare')!);
for (const [name, values] of times) {
  const each = least(values);
  console.log(`${name.padEnd(22)} ${each.toFixed(1).padStart(7)} µs a call  +${(each - bare).toFixed(1)} µs`);
}
rmSync(dir, { recursive: true });
process.exit(0);

/** Processor time of all threads, µs a call: unlike the clock's, not what other processes took. */
async function time({ harness, observer, tracer }: (typeof variants)[string]): Promise<number> {
  const name = 'hello';
  if ((await harness.store.events.find(name)) === undefined) await harness.deploy({ auth: 'public' });
  const event = (await harness.store.events.find(name))!;
  const ended: Invocation = invocation({ eventName: name });
  const { answer } = harness;
  harness.answer = (request, signal) => {
    // As the core does it, around the call.
    const trace = tracer?.begin({ ...request, event });
    observer?.invocationEnded(ended, RUNTIMES[0], request);
    trace?.end(ended);
    return answer(request, signal);
  };
  const began = process.cpuUsage();
  for (let i = 0; i < CALLS; i++) await (await harness.app.request('/e/hello?a=1')).arrayBuffer();
  const { user, system } = process.cpuUsage(began);
  harness.answer = answer;
  harness.calls.length = 0;
  return (user + system) / CALLS;
}
