import { setTimeout as sleep } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';
import { expect } from 'vitest';
import { type Answer, eventually, type Served } from '../faults/served.ts';
import type { Store } from './stores.ts';

const SECRET = `whsec_${Buffer.alloc(32, 9).toString('base64')}`;
/** Senders are slower than sandboxes, or what is promised would pile up for longer than a test may last. */
const PAUSE_MS = 250;
const DRAIN_MS = 240_000;

/** Clients that note what they were promised, whichever gateway promised it. */
export class Senders {
  /** Of calls that were answered with 202. */
  readonly calls = new Set<string>();
  /** By the sender's own id: what its webhooks were answered with. */
  readonly webhooks = new Map<string, Set<string>>();
  /** By their Idempotency-Key: what calls were answered with. */
  readonly keyed = new Map<string, Set<string>>();
  /** Invocations whose gateway died in the middle of them, once all was looked at. */
  ranAgain = 0;
  /** The gateway that lives now. */
  gateway: Served | undefined;
  readonly #stopped = new AbortController();
  readonly #running: Promise<void>[] = [];

  static async deploy(gateway: Served, more: Record<string, unknown> = {}): Promise<void> {
    for (const event of [
      { name: 'job' },
      { name: 'hook', auth: { type: 'webhook', scheme: 'standard', secret: SECRET } },
    ]) {
      const body = JSON.stringify({ runtime: 'bash', code: 'cat >/dev/null; echo done', ...more, ...event });
      const { status, body: answer } = await gateway.send('/v1/events', { method: 'POST', body });
      expect(status, answer).toBe(201);
    }
  }

  start(): void {
    this.#running.push(
      this.#keepCalling(),
      this.#keepRepeating((n) => this.tell(`msg_${n}`)),
      this.#keepRepeating((n) => this.callKeyed(`key-${n}`)),
    );
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.all(this.#running);
  }

  get promised(): number {
    return this.calls.size + this.webhooks.size + this.keyed.size;
  }

  /** One call that nobody waits for; `undefined` when it was not promised to run. */
  async call(): Promise<string | undefined> {
    const headers = { prefer: 'respond-async' };
    const answer = await this.#send('/e/job', { method: 'POST', headers, body: '"x"' });
    if (answer?.status !== 202) return undefined;
    const { id } = JSON.parse(answer.body) as { id: string };
    this.calls.add(id);
    return id;
  }

  /** A webhook with the sender's own id. */
  tell(id: string): Promise<void> {
    const body = JSON.stringify({ id });
    return this.#repeat(this.webhooks, id, () => {
      const now = new Date();
      const headers = {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': String(Math.floor(now.getTime() / 1_000)),
        'webhook-signature': new Webhook(SECRET).sign(id, now, body),
      };
      return this.#send('/e/hook', { method: 'POST', headers, body });
    });
  }

  /** A call that nobody waits for, by a client that wants it to run once. */
  callKeyed(key: string): Promise<void> {
    const headers = { prefer: 'respond-async', 'idempotency-key': key };
    return this.#repeat(this.keyed, key, () =>
      this.#send('/e/job', { method: 'POST', headers, body: '"x"' }),
    );
  }

  /** Sends it as often as it takes to be accepted, and once more now and then, as senders do. */
  async #repeat(told: Map<string, Set<string>>, id: string, send: () => Promise<Answer | undefined>) {
    while (!this.#stopped.signal.aborted) {
      const answer = await send();
      if (answer?.status === 202) {
        const ids = told.get(id) ?? new Set();
        told.set(id, ids.add((JSON.parse(answer.body) as { id: string }).id));
        if (Math.random() < 0.7) return;
      }
      await sleep(PAUSE_MS);
    }
  }

  async #keepCalling(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      await this.call();
      await sleep(PAUSE_MS);
    }
  }

  async #keepRepeating(send: (n: number) => Promise<void>): Promise<void> {
    for (let n = 1; !this.#stopped.signal.aborted; n++) {
      await send(n);
      await sleep(PAUSE_MS);
    }
  }

  /** `undefined` when the gateway died over it: nothing was promised then. */
  async #send(path: string, init: RequestInit) {
    const { gateway } = this;
    if (gateway === undefined) return undefined;
    return gateway.send(path, init).catch(() => undefined);
  }

  /**
   * Waits until the gateway has done all that is in its database, and looks whether each promise was kept: what was answered with 202
   * ran to success, a sender's id stands for one invocation, and nothing runs or waits for ever.
   */
  async expectKept(store: Store): Promise<void> {
    const unended = `select id, status, attempt from invocations where status in ('queued', 'running')`;
    await eventually(
      'end of all that was accepted',
      async () => ((await store.query(unended)).length === 0 ? true : undefined),
      DRAIN_MS,
    ).catch(async (error: Error) => {
      throw new Error(`${error.message}: ${JSON.stringify((await store.query(unended)).slice(0, 5))}`);
    });
    const rows = await store.query('select id, event_name, status, error from invocations');
    const byId = new Map(rows.map((row) => [row.id, row]));
    const repeated = [...this.webhooks, ...this.keyed];
    const promised = [...this.calls, ...repeated.flatMap(([, told]) => [...told])];
    expect(
      promised.filter((id) => byId.get(id)?.status !== 'succeeded').map((id) => byId.get(id) ?? id),
    ).toEqual([]);
    expect(repeated.filter(([, told]) => told.size !== 1)).toEqual([]);
    // An id or a key whose answer was lost may stand for an invocation that nobody was told of, and never for a second one.
    const hooks = rows.filter(({ event_name }) => event_name === 'hook').length;
    const keys = await store.query('select scope, invocation_id from dedup_keys');
    const ofKeys = keys.filter(({ scope }) => scope === 'idempotency-key');
    expect(keys.length - ofKeys.length).toBe(hooks);
    expect(new Set(keys.map(({ invocation_id }) => invocation_id)).size).toBe(keys.length);
    // Each key has one: what has none was a call without a key.
    const jobs = rows.length - hooks;
    expect(jobs - ofKeys.length).toBeGreaterThanOrEqual(this.calls.size);
    const again = await store.query('select count(*) as n from invocations where attempt > 1');
    this.ranAgain = Number(again[0]!.n);
  }
}
