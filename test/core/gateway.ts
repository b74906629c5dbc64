import { Admission } from '../../src/core/admission.ts';
import type { Event } from '../../src/core/event.ts';
import type { Invocation } from '../../src/core/invocation.ts';
import type { InvokeRequest, InvokeResponse } from '../../src/core/invoke.ts';
import { SandboxInvoker } from '../../src/core/invoker.ts';
import { Pools } from '../../src/core/pools.ts';
import { WIDEST_TIER } from '../../src/core/tiers.ts';
import { FakeBackend, FakeClock, never, type Script } from './fakes.ts';

export function event(over: Partial<Event['current']> = {}): Event {
  const createdAt = new Date(0);
  return {
    id: 'event-id',
    name: 'hello',
    ownerId: 'owner',
    description: '',
    auth: 'jwt',
    enabled: true,
    createdAt,
    updatedAt: createdAt,
    current: {
      version: 3,
      runtime: 'python',
      code: 'def handler(event, context): return 42',
      codeSha256: '',
      limits: { timeoutMs: 1_000, memoryMb: 128, cpus: 0.5 },
      env: { MODE: 'test' },
      secrets: {},
      createdAt,
      ...over,
    },
  };
}

/** An invoker on fake time with a backend that is driven by hand. */
export class TestGateway {
  readonly backend = new FakeBackend();
  readonly clock = new FakeClock();
  readonly records: Invocation[] = [];
  readonly engineErrors: unknown[] = [];
  readonly admission: Admission;
  readonly pools: Pools;
  readonly invoker: SandboxInvoker;
  #invocations = 0;

  constructor(over: { maxRunning?: number } = {}) {
    this.backend.auto = true;
    this.admission = new Admission({ maxRunning: over.maxRunning ?? 4, maxQueued: 10 });
    this.pools = new Pools({
      backend: this.backend,
      clock: this.clock,
      bootTimeoutMs: 5_000,
      random: () => 0,
      onEngineError: (_key, error) => this.engineErrors.push(error),
      targets: { min: 0, target: 0, max: 10, idleMs: 60_000, maxAgeMs: 600_000 },
      maxBooting: 4,
      maxSandboxes: 10,
    });
    this.invoker = new SandboxInvoker({
      admission: this.admission,
      pools: this.pools,
      grade: this.backend,
      clock: this.clock,
      record: (invocation) => this.records.push(invocation),
      onEngineError: (error) => this.engineErrors.push(error),
      options: {
        queueTimeoutMs: 500,
        pids: 64,
        tmpBytes: 1,
        runBytes: 1,
        tiers: { default: WIDEST_TIER },
        callLimits: { logBytes: 1_000, responseBytes: 1_000, streamBytes: 1_000_000 },
      },
    });
  }

  invoke(
    script: Script,
    over: Partial<InvokeRequest> = {},
    signal: AbortSignal = never,
  ): Promise<InvokeResponse> {
    this.backend.script = script;
    this.#invocations += 1;
    return this.invoker.invoke(
      {
        id: `invocation-${this.#invocations}`,
        event: event(),
        caller: { userId: 'alice', tier: null },
        payload: { body: 'hi' },
        forceCold: false,
        ...over,
      },
      signal,
    );
  }

  /** What was kept of the one invocation, when it is over. */
  async record(): Promise<Invocation> {
    await this.clock.advance(10);
    if (this.records.length !== 1) throw new Error(`${this.records.length} records`);
    return this.records[0]!;
  }

  /** What must be true when nothing is called any more. */
  leftovers() {
    const { sandboxes, boots } = this.backend;
    return {
      running: this.admission.running,
      queued: this.admission.queued,
      sandboxes: sandboxes.filter(({ destroyed }) => destroyed !== 1).length,
      boots: boots.length,
      timers: this.clock.pendingTimers,
      inFlight: this.records.filter(({ id }) => this.invoker.inFlight(id) !== undefined).length,
    };
  }
}

export const NOTHING_LEFT = { running: 0, queued: 0, sandboxes: 0, boots: 0, timers: 0, inFlight: 0 };
