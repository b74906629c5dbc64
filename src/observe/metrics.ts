import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Runtime } from '../core/event.ts';
import type { Invocation } from '../core/invocation.ts';
import type { IsolationGrade } from '../core/isolation.ts';
import type { Observer } from '../core/observer.ts';
import type { PoolStatus } from '../core/pool.ts';
import type { QueueDepth } from '../core/queue/queue.ts';
import type { WorkerObserver } from '../core/queue/worker.ts';
import { BUCKETS, type PoolSample, poolSamples } from './metric-shapes.ts';
import { queueCounts } from './queue-counts.ts';

/** What is asked when somebody reads the metrics. */
export interface Sources {
  pools: () => PoolStatus[];
  admission: () => { running: number; queued: number };
  recorder: () => { waiting: number; dropped: number };
  grade: IsolationGrade;
  /** Asked when somebody reads the metrics, and not too often: it counts. */
  queue?: () => Promise<QueueDepth>;
  /** Without one there is none. */
  audit?: () => { waiting: number; dropped: number };
}

export interface MetricsOptions {
  version: string;
  /** Count by the name of the event too. */
  eventLabel: boolean;
}

/** An answered request, as it is counted. */
export interface CountedRequest {
  method: string;
  route: string;
  status: number;
  durationMs: number;
  code: string | undefined;
}

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
const PHASES = ['admit', 'acquire', 'inject', 'exec', 'destroy'] as const;
/** Events beyond so many are counted together: whoever deploys must not be able to fill the memory of a Prometheus. */
const MAX_EVENTS = 500;

/** Counts for Prometheus. Each gateway has its own registry. */
export class Metrics implements Observer {
  readonly #registry = new Registry();
  readonly #events = new Set<string>();
  readonly #version: string;
  #depth: () => Promise<void> = async () => {};

  readonly #invocations = this.#counter('invocations_total', 'Invocations that ended', [
    'runtime',
    'status',
    'start',
  ]);
  readonly #byEvent: Counter<'event' | 'status'> | undefined;
  readonly #pruned = this.#counter('pruned_rows_total', 'What was kept for long enough and is gone', [
    'what',
  ]);
  readonly #errors = this.#counter('invocation_errors_total', 'Invocations that failed in a sandbox', [
    'runtime',
    'code',
  ]);
  readonly #refusals = this.#counter('refusals_total', 'Invocations turned away before they had a sandbox', [
    'code',
  ]);
  readonly #phases = this.#histogram('invocation_phase_seconds', 'Where the time of invocations went', [
    'runtime',
    'phase',
  ]);
  readonly #boots = this.#histogram('sandbox_boot_seconds', 'How long sandboxes took to boot, or to fail', [
    'runtime',
    'outcome',
  ]);
  readonly #engineErrors = this.#counter('engine_errors_total', 'Times that the sandbox engine failed', [
    'at',
  ]);
  /** Told to the registry only when somebody reads it: a call waits for its lookup, and a labelled counter costs more than that. */
  readonly #lookups = { hit: 0, miss: 0 };
  readonly #requests = this.#counter('http_requests_total', 'HTTP requests answered', [
    'method',
    'route',
    'status',
  ]);
  readonly #problems = this.#counter('http_problems_total', 'HTTP requests answered with a problem', [
    'code',
  ]);
  readonly #durations = this.#histogram('http_request_seconds', 'Time to the head of the answer', ['route']);

  readonly #deliveries = this.#counter('deliveries_total', 'Tries to tell a URL of an end', ['outcome']);
  /** Counts what happens to invocations that nobody waits for. */
  readonly queue: WorkerObserver = queueCounts((name, help, labels) => this.#counter(name, help, labels));

  constructor({ version, eventLabel }: MetricsOptions) {
    this.#version = version;
    if (eventLabel) {
      this.#byEvent = this.#counter('event_invocations_total', 'Invocations that ended, by event', [
        'event',
        'status',
      ]);
    }
    // Counters that are watched for any change at all must be there before the first one.
    for (const at of ['boot', 'run'] as const) this.#engineErrors.inc({ at }, 0);
    this.#counter('event_cache_lookups_total', 'Events looked up for calls', ['result'], (counter) => {
      for (const result of ['hit', 'miss'] as const) counter.inc({ result }, this.#lookups[result]);
    });
    collectDefaultMetrics({ register: this.#registry });
  }

  /** Begins to tell of these parts. */
  watch({ pools, admission, recorder, grade, queue, audit }: Sources): void {
    this.#gauge('build_info', 'Always 1; the labels tell what runs', [
      'version',
      'node',
      'isolation',
      'level',
    ]).set(
      { version: this.#version, node: process.version, isolation: grade.isolation, level: grade.level },
      1,
    );
    this.#watchPools(pools);
    this.#gauge('running', 'Invocations that have their turn', [], (gauge) => gauge.set(admission().running));
    this.#gauge('queue_length', 'Invocations that wait for their turn', [], (gauge) =>
      gauge.set(admission().queued),
    );
    this.#gauge('recorder_waiting', 'Records that wait to be written', [], (gauge) =>
      gauge.set(recorder().waiting),
    );
    this.#counter('recorder_dropped_total', 'Records given up because the database was away', [], (counter) =>
      counter.inc(recorder().dropped),
    );
    if (queue !== undefined) this.#watchQueue(queue);
    if (audit !== undefined) this.#watchAudit(audit);
  }

  #watchQueue(queue: () => Promise<QueueDepth>): void {
    const [queued, running, age] = [
      this.#gauge('durable_queued', 'Invocations in the database that wait to be run', []),
      this.#gauge('durable_running', 'Invocations in the database that run, on whatever gateway', []),
      this.#gauge('durable_oldest_seconds', 'Age of the oldest invocation that could run now', []),
    ];
    this.#depth = async () => {
      const depth = await queue();
      queued.set(depth.queued);
      running.set(depth.running);
      age.set(depth.oldestAgeMs / 1_000);
    };
  }

  #watchAudit(audit: () => { waiting: number; dropped: number }): void {
    this.#gauge('audit_waiting', 'Entries of the audit log that wait to be written', [], (gauge) =>
      gauge.set(audit().waiting),
    );
    this.#counter('audit_dropped_total', 'Entries of the audit log that were lost', [], (counter) =>
      counter.inc(audit().dropped),
    );
  }

  #watchPools(pools: () => PoolStatus[]): void {
    const samples = () => poolSamples(pools());
    const each = (pick: (sample: PoolSample) => void) => samples().forEach(pick);
    this.#gauge('pool_sandboxes', 'Sandboxes by pool and state', ['pool', 'state'], (gauge) =>
      each(({ pool, starting, ready, taken }) => {
        gauge.set({ pool, state: 'starting' }, starting);
        gauge.set({ pool, state: 'ready' }, ready);
        gauge.set({ pool, state: 'taken' }, taken);
      }),
    );
    this.#gauge('pool_target', 'Warm sandboxes that a pool in use keeps', ['pool'], (gauge) =>
      each(({ pool, target }) => gauge.set({ pool }, target)),
    );
    this.#gauge('pool_waiting', 'Callers that wait for a sandbox', ['pool'], (gauge) =>
      each(({ pool, waiting }) => gauge.set({ pool }, waiting)),
    );
    this.#counter('pool_starts_total', 'Sandboxes handed out, warm or cold', ['pool', 'start'], (counter) =>
      each(({ pool, warmStarts, coldStarts }) => {
        counter.inc({ pool, start: 'warm' }, warmStarts);
        counter.inc({ pool, start: 'cold' }, coldStarts);
      }),
    );
    this.#counter('pool_boot_failures_total', 'Sandboxes that did not boot', ['pool'], (counter) =>
      each(({ pool, bootFailures }) => counter.inc({ pool }, bootFailures)),
    );
  }

  invocationEnded(invocation: Invocation, runtime: Runtime): void {
    const { status, start, phases, error, eventName } = invocation;
    this.#invocations.inc({ runtime, status, start: start ?? 'none' });
    this.#byEvent?.inc({ event: this.#eventNamed(eventName), status });
    if (error !== null) {
      if (start === null) this.#refusals.inc({ code: error.code });
      else this.#errors.inc({ runtime, code: error.code });
    }
    for (const phase of PHASES) {
      const ms = phases[phase];
      if (ms !== undefined) this.#phases.observe({ runtime, phase }, ms / 1_000);
    }
  }

  refused(code: string): void {
    this.#refusals.inc({ code });
  }

  bootEnded({ runtime, durationMs, ok }: Parameters<Observer['bootEnded']>[0]): void {
    this.#boots.observe({ runtime, outcome: ok ? 'ok' : 'failed' }, durationMs / 1_000);
  }

  delivered(outcome: 'delivered' | 'failed' | 'retried'): void {
    this.#deliveries.inc({ outcome });
  }

  engineFailed(at: 'boot' | 'run'): void {
    this.#engineErrors.inc({ at });
  }

  eventLookedUp(result: 'hit' | 'miss'): void {
    this.#lookups[result] += 1;
  }

  requestAnswered({ method, route, status, durationMs, code }: CountedRequest): void {
    this.#requests.inc({ method: METHODS.has(method) ? method : 'OTHER', route, status });
    if (code !== undefined) this.#problems.inc({ code });
    this.#durations.observe({ route }, durationMs / 1_000);
  }

  pruned(what: string, rows: number): void {
    this.#pruned.inc({ what }, rows);
  }

  /** The text that Prometheus reads. */
  async render(): Promise<{ contentType: string; body: string }> {
    // The rest is worth telling while the database is away.
    await this.#depth().catch(() => {});
    return { contentType: this.#registry.contentType, body: await this.#registry.metrics() };
  }

  #eventNamed(name: string): string {
    if (this.#events.size < MAX_EVENTS) this.#events.add(name);
    return this.#events.has(name) ? name : 'other';
  }

  #counter<L extends string>(
    name: string,
    help: string,
    labelNames: L[],
    tell?: (counter: Counter<L>) => void,
  ) {
    return new Counter<L>({
      name: `cronium_${name}`,
      help,
      labelNames,
      registers: [this.#registry],
      ...(tell && {
        collect() {
          this.reset();
          tell(this);
        },
      }),
    });
  }

  #gauge<L extends string>(name: string, help: string, labelNames: L[], tell?: (gauge: Gauge<L>) => void) {
    return new Gauge<L>({
      name: `cronium_${name}`,
      help,
      labelNames,
      registers: [this.#registry],
      ...(tell && {
        collect() {
          this.reset();
          tell(this);
        },
      }),
    });
  }

  #histogram<L extends string>(name: string, help: string, labelNames: L[]) {
    return new Histogram<L>({
      name: `cronium_${name}`,
      help,
      labelNames,
      buckets: BUCKETS,
      registers: [this.#registry],
    });
  }
}
