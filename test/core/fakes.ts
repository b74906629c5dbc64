import type { Clock } from '../../src/core/clock.ts';
import type { Kernel } from '../../src/core/isolation.ts';
import type {
  Call,
  CallObserver,
  CloseReason,
  Outcome,
  Sandbox,
  SandboxBackend,
  SandboxSpec,
} from '../../src/core/sandbox.ts';

/** Lets everything that is already due to happen, happen. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Time that passes when it is told to. */
export class FakeClock implements Clock {
  readonly #timers = new Set<{ at: number; callback: () => void }>();
  #now = 0;

  get pendingTimers(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#now;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { at: this.#now + delayMs, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settle();
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.callback();
      await settle();
    }
    this.#now = until;
  }
}

export const never = new AbortController().signal;

export function spec(over: Partial<SandboxSpec> = {}): SandboxSpec {
  return {
    runtime: 'python',
    memoryBytes: 128 * 2 ** 20,
    cpus: 0.5,
    pids: 64,
    tmpBytes: 2 ** 20,
    runBytes: 2 ** 20,
    ...over,
  };
}

export type Script = (call: Call, observer: CallObserver, signal: AbortSignal) => Promise<Outcome>;

export const succeedsWith =
  (value: unknown): Script =>
  async (_call, observer) => {
    observer.injected();
    return {
      status: 'succeeded',
      result: { value, json: Buffer.from(JSON.stringify(value ?? null)) },
      exit: null,
      droppedLogBytes: 0,
    };
  };

/** Waits for nothing but its signal, as a function that hangs. */
export const hangs: Script = (_call, observer, signal) => {
  observer.injected();
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
};

export class FakeSandbox implements Sandbox {
  readonly id: string;
  readonly isolation = 'fake';
  readonly level = 'basic';
  readonly image = null;
  readonly closed: Promise<CloseReason>;
  /** How often it was destroyed. */
  destroyed = 0;
  runs = 0;
  readonly spec: SandboxSpec;
  readonly #backend: FakeBackend;
  readonly #close: (reason: CloseReason) => void;

  constructor(id: string, spec: SandboxSpec, backend: FakeBackend) {
    this.id = id;
    this.spec = spec;
    this.#backend = backend;
    const { promise, resolve } = Promise.withResolvers<CloseReason>();
    this.closed = promise;
    this.#close = resolve;
  }

  async run(call: Call, observer: CallObserver, signal: AbortSignal): Promise<Outcome> {
    this.runs += 1;
    if (this.runs > 1) throw new Error('run twice');
    return this.#backend.script(call, observer, signal);
  }

  async destroy(): Promise<void> {
    this.destroyed += 1;
    await this.#backend.destroyGate;
    this.#close('destroyed');
    if (this.#backend.destroyFails) throw new Error('the engine is away');
  }

  die(): void {
    this.#close('died');
  }
}

/** One `create` that has not been answered. */
export interface Boot {
  spec: SandboxSpec;
  signal: AbortSignal;
  succeed(): FakeSandbox;
  fail(error?: unknown): void;
}

/** A backend whose sandboxes boot when the test says so, or at once. */
export class FakeBackend implements SandboxBackend {
  readonly isolation = 'fake';
  readonly level = 'basic';
  kernel: Kernel = 'host';
  readonly sandboxes: FakeSandbox[] = [];
  readonly boots: Boot[] = [];
  auto = false;
  /** An engine that does not notice that nobody wants the sandbox any more. */
  deaf = false;
  destroyFails = false;
  destroyGate: Promise<void> = Promise.resolve();
  script: Script = succeedsWith(null);
  #ids = 0;

  create(spec: SandboxSpec, signal: AbortSignal): Promise<Sandbox> {
    const { promise, resolve, reject } = Promise.withResolvers<Sandbox>();
    const leave = () => {
      const at = this.boots.indexOf(boot);
      if (at >= 0) this.boots.splice(at, 1);
    };
    const boot: Boot = {
      spec,
      signal,
      succeed: () => {
        leave();
        this.#ids += 1;
        const sandbox = new FakeSandbox(String(this.#ids), spec, this);
        this.sandboxes.push(sandbox);
        resolve(sandbox);
        return sandbox;
      },
      fail: (error = new Error('no engine')) => {
        leave();
        reject(error);
      },
    };
    this.boots.push(boot);
    if (!this.deaf) signal.addEventListener('abort', () => boot.fail(signal.reason), { once: true });
    if (this.auto) boot.succeed();
    return promise;
  }

  /** Sandboxes that exist and have not been destroyed. */
  get alive(): FakeSandbox[] {
    return this.sandboxes.filter((sandbox) => sandbox.destroyed === 0);
  }

  async sweep(): Promise<number> {
    return 0;
  }

  async close(): Promise<void> {}
}

/** Numbers in [0, 1) that are the same in every run (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
