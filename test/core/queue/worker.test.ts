import { beforeEach, describe, expect, test } from 'vitest';
import type { InvokeRequest } from '../../../src/core/invoke.ts';
import type { Claimed, Ending, Retry } from '../../../src/core/queue/queue.ts';
import { MAX_CRASHES } from '../../../src/core/queue/verdict.ts';
import { Worker, type WorkerDeps } from '../../../src/core/queue/worker.ts';
import { GatewayError } from '../../../src/errors.ts';
import { claimed, invocation } from '../../contract/samples.ts';
import { FakeClock, settle } from '../fakes.ts';
import { event } from '../gateway.ts';

const LEASE = 'gateway:1';
const LEASE_MS = 9_000;

/** A worker over a queue and an invoker that do what the test says. */
class Rig {
  readonly clock = new FakeClock();
  waiting: Claimed[] = [];
  readonly calls: { request: InvokeRequest; signal: AbortSignal; end: (error?: GatewayError) => void }[] = [];
  readonly ends: [string, Ending][] = [];
  readonly retries: [string, Retry][] = [];
  readonly released: string[] = [];
  readonly counted: string[] = [];
  held: (id: string) => { attempt: number; cancelRequested: boolean } | undefined = () => ({
    attempt: 1,
    cancelRequested: false,
  });
  /** What the fence says of each write; an error is a database that is away. */
  writes: (boolean | Error)[] = [];
  readonly worker: Worker;

  constructor(over: Partial<WorkerDeps> = {}) {
    const write = async () => {
      const said = this.writes.shift() ?? true;
      if (said instanceof Error) throw said;
      return said;
    };
    this.worker = new Worker({
      queue: {
        claim: async (_lease, want) => this.waiting.splice(0, want),
        renew: async () =>
          this.calls.flatMap(({ request: { id } }) => (this.held(id) ? [{ id, ...this.held(id)! }] : [])),
        reclaim: async () => 0,
        end: async ({ id }, ending) => (await write()) && this.ends.push([id, ending]) > 0,
        retry: async ({ id }, retry) => (await write()) && this.retries.push([id, retry]) > 0,
        release: async (claims) => {
          this.released.push(...claims.map(({ id }) => id));
        },
        nextDueMs: async () => undefined,
      },
      events: { find: async () => event(), findVersion: async () => undefined },
      invoker: {
        invoke: (request, signal) => {
          request.durable!.began();
          const { promise, resolve, reject } = Promise.withResolvers<never>();
          const end = (error?: GatewayError) => {
            const status = error === undefined ? 'succeeded' : 'failed';
            request.durable!.ended(
              invocation({
                id: request.id,
                status,
                error: error ? { code: error.code, message: error.message } : null,
              }),
            );
            if (error !== undefined) return reject(error);
            const head = { statusCode: 200, headers: {}, cookies: [], body: Buffer.from('done') };
            resolve({
              ...head,
              invocationId: request.id,
              start: 'warm',
              isolation: 'fake',
              phases: {},
            } as never);
          };
          signal.addEventListener('abort', () => end(new GatewayError('client_closed', 'gone')));
          this.calls.push({ request, signal, end });
          return promise;
        },
      },
      resultBytes: 1_000,
      clock: this.clock,
      random: () => 1,
      lease: LEASE,
      leaseMs: LEASE_MS,
      maxRunning: 2,
      pollMs: 5_000,
      outcomeOf: async (_claimed, _attempted, ending) => ending,
      onEnded: () => {},
      onError: () => {},
      observer: {
        claimed: () => {},
        ended: (status) => this.counted.push(status),
        retried: () => this.counted.push('retried'),
        fenced: () => this.counted.push('fenced'),
        reclaimed: () => {},
      },
      ...over,
    });
  }

  async settled(): Promise<void> {
    for (let round = 0; round < 10; round++) await settle();
  }

  async start(...waiting: Claimed[]): Promise<void> {
    this.waiting = waiting;
    this.worker.start();
    await this.settled();
  }
}

describe('the worker', () => {
  let rig: Rig;
  beforeEach(() => {
    rig = new Rig();
  });

  test('claims no more than it may run, and the next when one has ended', async () => {
    await rig.start(claimed({ id: 'a' }), claimed({ id: 'b' }), claimed({ id: 'c' }));
    expect(rig.calls.map(({ request }) => request.id)).toEqual(['a', 'b']);
    rig.calls[0]!.end();
    await rig.settled();
    expect(rig.calls).toHaveLength(3);
    expect(rig.ends).toMatchObject([
      ['a', { status: 'succeeded', result: { body: 'done', statusCode: 200 } }],
    ]);
  });

  test('tries a failure again later, and buries the last one', async () => {
    await rig.start(claimed({ id: 'a' }), claimed({ id: 'b', attempt: 3, failures: 2 }));
    for (const { end } of rig.calls) end(new GatewayError('function_error', 'boom'));
    await rig.settled();
    expect(rig.retries).toMatchObject([['a', { failed: true, delayMs: 1_000 }]]);
    expect(rig.ends).toMatchObject([
      ['b', { status: 'dead', failed: true, record: { error: { code: 'function_error' } } }],
    ]);
  });

  test('writes until the database takes it, and nothing where the fence refuses', async () => {
    rig.writes = [new Error('away'), new Error('away'), true, false];
    await rig.start(claimed({ id: 'a' }));
    rig.calls[0]!.end();
    await rig.settled();
    await rig.clock.advance(500);
    expect(rig.ends).toHaveLength(1);
    rig.waiting = [claimed({ id: 'b' })];
    rig.worker.wake();
    await rig.settled();
    rig.calls[1]!.end();
    await rig.settled();
    expect(rig.ends).toHaveLength(1);
    expect(rig.counted).toEqual(['succeeded', 'fenced']);
  });

  test('kills what another gateway has taken, and writes nothing of it', async () => {
    await rig.start(claimed({ id: 'a' }));
    rig.held = () => undefined;
    await rig.clock.advance(LEASE_MS / 3);
    await rig.settled();
    expect(rig.calls[0]!.signal.aborted).toBe(true);
    expect([rig.ends, rig.retries, rig.counted]).toEqual([[], [], ['fenced']]);
  });

  test('kills what was cancelled elsewhere when it renews its leases', async () => {
    await rig.start(claimed({ id: 'a' }));
    rig.held = () => ({ attempt: 1, cancelRequested: true });
    await rig.clock.advance(LEASE_MS / 3);
    await rig.settled();
    expect(rig.ends).toMatchObject([
      ['a', { status: 'cancelled', record: { error: { code: 'cancelled' } } }],
    ]);
  });

  test('runs nothing that was cancelled before, or that keeps killing gateways', async () => {
    await rig.start(claimed({ id: 'a', cancelRequested: true }), claimed({ id: 'b', crashes: MAX_CRASHES }));
    expect(rig.calls).toEqual([]);
    expect(rig.ends).toMatchObject([
      ['a', { status: 'cancelled' }],
      ['b', { status: 'dead', failed: false, record: { error: { code: 'gateway_crashed' } } }],
    ]);
  });

  test('gives back what a shutdown ends, claims no more, and leaves no timer', async () => {
    await rig.start(claimed({ id: 'a' }), claimed({ id: 'b' }));
    rig.worker.stop();
    rig.waiting = [claimed({ id: 'c' })];
    rig.calls[0]!.end(new GatewayError('shutting_down', 'bye'));
    rig.calls[1]!.end();
    await rig.worker.drained();
    expect([rig.released, rig.ends.map(([id]) => id), rig.calls.length]).toEqual([['a'], ['b'], 2]);
    expect(rig.clock.pendingTimers).toBe(0);
  });
});
