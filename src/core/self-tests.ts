import { GatewayError, messageOf } from '../errors.ts';
import type { Clock } from './clock.ts';
import type { Runtime } from './event.ts';
import { broken, brokenPromises, type Check, type SelfTest } from './self-test.ts';

export interface SelfTestsDeps {
  runtimes: readonly Runtime[];
  /** Boots a sandbox that no caller gets and tries from inside what it must not let through. Rejects when it cannot be tried. */
  examine: (runtime: Runtime, signal: AbortSignal) => Promise<Check[]>;
  clock: Clock;
  /** Hears of every test that was carried out, the first and those that repeat it. */
  onVerdict: (runtime: Runtime, found: SelfTest) => void;
  onTrouble: (runtime: Runtime, error: unknown) => void;
}

/** What was true an hour ago need not be true now: an administrator changes an engine while it runs. */
const REPEAT_MS = 3_600_000;
/** A host that was mended serves again without a restart, and one that was not is left in peace between the tries. */
const FAILED_REPEAT_MS = 30_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;
/** However often something gives reason to look again. */
const LEAST_PAUSE_MS = 3_000;

interface State {
  found: SelfTest;
  /** Of the clock, ms. */
  endedAt: number;
  troubles: number;
  next: { at: number; cancel: () => void } | undefined;
}

/** Tests the sandboxes of every runtime in the background, one after the other, and again whenever there is reason to. */
export class SelfTests {
  readonly #deps: SelfTestsDeps;
  readonly #states = new Map<Runtime, State>();
  readonly #due = new Set<Runtime>();
  readonly #closing = new AbortController();
  #working: Promise<void> | undefined;

  constructor(deps: SelfTestsDeps) {
    this.#deps = deps;
    for (const runtime of deps.runtimes) {
      const found: SelfTest = { status: 'running', at: null, checks: [], trouble: null };
      this.#states.set(runtime, { found, endedAt: Number.NEGATIVE_INFINITY, troubles: 0, next: undefined });
    }
  }

  of(runtime: Runtime): SelfTest {
    return this.#states.get(runtime)!.found;
  }

  /** A line for operators for every runtime that serves nobody. */
  failures(): string[] {
    return [...this.#states]
      .filter(([, { found }]) => found.status === 'failed')
      .map(([runtime, { found }]) => brokenPromises(runtime, found));
  }

  /** Tests all, the first time. */
  start(): void {
    for (const runtime of this.#deps.runtimes) this.#makeDue(runtime);
  }

  /** Something that a test has looked at may have changed: the engine came back, an image was built anew, a warm sandbox died. */
  repeat(runtime: Runtime): void {
    const { endedAt, found } = this.#states.get(runtime)!;
    // Before the first has ended there is nothing to repeat, and it will see what is there then.
    if (found.at === null) return;
    this.#scheduleIn(runtime, Math.max(0, endedAt + LEAST_PAUSE_MS - this.#deps.clock.now()));
  }

  async close(): Promise<void> {
    this.#closing.abort(new GatewayError('shutting_down', 'The gateway is shutting down.'));
    for (const state of this.#states.values()) state.next?.cancel();
    this.#due.clear();
    await this.#working;
  }

  /** The earliest of those asked for counts. */
  #scheduleIn(runtime: Runtime, delayMs: number): void {
    if (this.#closing.signal.aborted) return;
    const state = this.#states.get(runtime)!;
    const at = this.#deps.clock.now() + delayMs;
    if (state.next !== undefined && state.next.at <= at) return;
    state.next?.cancel();
    state.next = { at, cancel: this.#deps.clock.after(delayMs, () => this.#makeDue(runtime)) };
  }

  #makeDue(runtime: Runtime): void {
    if (this.#closing.signal.aborted) return;
    const state = this.#states.get(runtime)!;
    state.next?.cancel();
    state.next = undefined;
    this.#due.add(runtime);
    this.#working ??= this.#work();
  }

  async #work(): Promise<void> {
    for (const runtime of this.#due) {
      this.#due.delete(runtime);
      await this.#test(runtime);
    }
    this.#working = undefined;
  }

  async #test(runtime: Runtime): Promise<void> {
    const { examine, clock, onVerdict, onTrouble } = this.#deps;
    const state = this.#states.get(runtime)!;
    try {
      let checks = await examine(runtime, this.#closing.signal);
      // A host that is out of breath can make one look wrong: it takes two in a row to send callers away.
      if (broken(checks).length > 0 && state.found.status !== 'failed') {
        checks = await examine(runtime, this.#closing.signal);
      }
      const status = broken(checks).length > 0 ? 'failed' : 'passed';
      state.found = { status, at: new Date(), checks, trouble: null };
      state.troubles = 0;
      this.#scheduleIn(runtime, status === 'failed' ? FAILED_REPEAT_MS : REPEAT_MS);
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      state.found = { ...state.found, trouble: messageOf(error) };
      this.#scheduleIn(runtime, Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(state.troubles, 10)));
      state.troubles += 1;
      onTrouble(runtime, error);
      return;
    } finally {
      state.endedAt = clock.now();
    }
    onVerdict(runtime, state.found);
  }
}
