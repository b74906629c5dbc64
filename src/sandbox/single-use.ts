import type { SecurityLevel } from '../core/isolation.ts';
import type { Call, CallObserver, CloseReason, Outcome, Sandbox } from '../core/sandbox.ts';

/**
 * Makes any sandbox safe to hold: it runs once and no second time, is destroyed once however often that is asked, and may be
 * asked in every state. A run that rejects destroys it, so that no path leaves a sandbox with a stranger's leftovers.
 */
export function singleUse(sandbox: Sandbox): Sandbox {
  return new SingleUseSandbox(sandbox);
}

class SingleUseSandbox implements Sandbox {
  readonly id: string;
  readonly isolation: string;
  readonly level: SecurityLevel;
  readonly image: string | null;
  readonly closed: Promise<CloseReason>;
  readonly #inner: Sandbox;
  #used = false;
  #destruction: Promise<void> | undefined;

  constructor(inner: Sandbox) {
    this.#inner = inner;
    this.id = inner.id;
    this.isolation = inner.isolation;
    this.level = inner.level;
    this.image = inner.image;
    this.closed = inner.closed;
  }

  async run(call: Call, observer: CallObserver, signal: AbortSignal): Promise<Outcome> {
    if (this.#used) throw new Error(`sandbox ${this.id} has run a call already`);
    if (this.#destruction !== undefined) throw new Error(`sandbox ${this.id} has been destroyed`);
    this.#used = true;
    try {
      return await this.#inner.run(call, observer, signal);
    } catch (error) {
      this.destroy().catch(() => {});
      throw error;
    }
  }

  destroy(): Promise<void> {
    this.#destruction ??= this.#inner.destroy();
    return this.#destruction;
  }
}
