import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../errors.ts';
import { answered, type EngineClient, statusOf } from './engine-client.ts';

const RETRY_MS = 1_000;
/** Podman does not remove what ends by itself while it is about to kill it. */
const ENDING = /state improper/;
const ENDING_TRIES = 20;
const ENDING_PAUSE_MS = 10;
/** An engine that hangs must not keep a gateway from stopping, ms. */
export const REMOVAL_TIMEOUT_MS = 5_000;

/** Removes containers, and goes on trying while the engine is away, so that none stays behind. */
export class Removals {
  readonly #engine: EngineClient;
  readonly #onEngineError: (error: unknown) => void;
  readonly #failed = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(engine: EngineClient, onEngineError: (error: unknown) => void) {
    this.#engine = engine;
    this.#onEngineError = onEngineError;
  }

  /** Never rejects: what fails now is tried again later. */
  async remove(id: string): Promise<void> {
    try {
      await answered(this.#removed(id), this.#engine.kind, REMOVAL_TIMEOUT_MS);
    } catch (error) {
      // Gone already, or another removal is at it.
      if (statusOf(error) === 404 || statusOf(error) === 409) return;
      this.#onEngineError(
        new Error(`container ${id.slice(0, 12)} could not be removed yet: ${messageOf(error)}`),
      );
      this.#failed.add(id);
      if (!this.#closed) this.#timer ??= setTimeout(() => this.#retry(), RETRY_MS);
    }
  }

  async #removed(id: string): Promise<void> {
    for (let triesLeft = ENDING_TRIES; ; triesLeft -= 1) {
      try {
        return await this.#engine.docker.getContainer(id).remove({ force: true, v: true });
      } catch (error) {
        if (triesLeft === 0 || !ENDING.test(messageOf(error))) throw error;
        await sleep(ENDING_PAUSE_MS);
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#retry();
  }

  async #retry(): Promise<void> {
    this.#timer = undefined;
    const ids = [...this.#failed];
    this.#failed.clear();
    await Promise.all(ids.map((id) => this.remove(id)));
  }
}
