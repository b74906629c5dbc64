import { Writable } from 'node:stream';
import pino from 'pino';
import { parseConfig } from '../../src/config.ts';
import { Admission } from '../../src/core/admission.ts';
import { systemClock } from '../../src/core/clock.ts';
import { SandboxInvoker } from '../../src/core/invoker.ts';
import { Pools } from '../../src/core/pools.ts';
import type { Call } from '../../src/core/sandbox.ts';
import { WIDEST_TIER } from '../../src/core/tiers.ts';
import { observeBoots } from '../../src/observe/boots.ts';
import { type Observability, openObservability } from '../../src/observe/observability.ts';
import { FakeBackend, type Script, succeedsWith } from '../core/fakes.ts';
import { Harness } from '../http/harness.ts';

/** The whole gateway but for its sandboxes, watched as it is in service. */
export class Watched implements AsyncDisposable {
  readonly backend = new FakeBackend();
  readonly lines: Record<string, unknown>[] = [];
  /** The calls that arrived in sandboxes. */
  readonly calls: Call[] = [];
  #harness!: Harness;
  #seeing!: Observability;
  #invoker!: SandboxInvoker;
  #pools!: Pools;

  static async open(env: Record<string, string> = {}, limits = { maxRunning: 4, maxQueued: 10 }) {
    const watched = new Watched();
    await watched.#open(env, limits);
    return watched;
  }

  get harness(): Harness {
    return this.#harness;
  }

  /** What functions do from now on. */
  set script(script: Script) {
    this.backend.script = (call, ...rest) => {
      this.calls.push(call);
      return script(call, ...rest);
    };
  }

  async #open(env: Record<string, string>, limits: { maxRunning: number; maxQueued: number }): Promise<void> {
    const config = parseConfig({ LOG_LEVEL: 'debug', ...env });
    const sink = new Writable({
      write: (chunk, _encoding, done) => {
        this.lines.push(JSON.parse(String(chunk)));
        done();
      },
    });
    const log = pino({ level: config.LOG_LEVEL }, sink);
    this.#seeing = await openObservability({ config, log });
    const { metrics, tracer, onAnswered } = this.#seeing;
    this.backend.auto = true;
    this.script = succeedsWith({ ok: true });
    const pools = new Pools({
      backend: observeBoots(this.backend, metrics),
      clock: systemClock,
      bootTimeoutMs: 5_000,
      random: () => 0,
      onEngineError: () => metrics.engineFailed('boot'),
      targets: { min: 0, target: 0, max: 10, idleMs: 60_000, maxAgeMs: 600_000 },
      maxBooting: 4,
      maxSandboxes: 10,
    });
    this.#pools = pools;
    const admission = new Admission(limits);
    const recorder = { waiting: 0, dropped: 0 };
    metrics.watch({
      pools: () => pools.status(),
      admission: () => admission,
      recorder: () => recorder,
      grade: this.backend,
    });
    this.#invoker = new SandboxInvoker({
      admission,
      pools,
      grade: this.backend,
      clock: systemClock,
      record: () => {},
      onEngineError: () => metrics.engineFailed('run'),
      observer: metrics,
      ...(tracer && { tracer }),
      options: {
        queueTimeoutMs: 200,
        pids: 64,
        tmpBytes: 1,
        runBytes: 1,
        tiers: { default: WIDEST_TIER },
        callLimits: { logBytes: 1_000, responseBytes: 1_000, streamBytes: 1_000 },
      },
    });
    this.#harness = await Harness.open({
      invoker: this.#invoker,
      onAnswered,
      metrics: { render: () => metrics.render(), token: config.METRICS_TOKEN },
    });
  }

  /** The log so far. What a request comes to is written down after its answer has left. */
  async written(): Promise<Record<string, unknown>[]> {
    await new Promise((resolve) => setImmediate(resolve));
    return this.lines;
  }

  /** The metrics as lines, without comments. */
  async metrics(headers: Record<string, string> = {}): Promise<string[]> {
    await this.written();
    const response = await this.#harness.app.request('/metrics', { headers });
    return (await response.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#invoker.close(1_000);
    await this.#pools.close();
    await this.#seeing[Symbol.asyncDispose]();
    await this.#harness[Symbol.asyncDispose]();
  }
}
