import { randomBytes } from 'node:crypto';
import { v7 as uuidv7 } from 'uuid';
import type { Event } from '../src/core/event.ts';
import type { NewInvocation } from '../src/core/queue/queue.ts';
import type { Store } from '../src/core/store.ts';
import { openStore, type StoreLocation } from '../src/store/store.ts';
import { RECORD } from '../test/contract/samples.ts';

const OWNERS = 10;
const BATCH = 500;
const WANT = 5;

export interface ClaimRate {
  backlog: number;
  claimsPerSecond: number;
}

/** How many invocations a second a store gives out, by how many wait behind them. Each is ended before the next. */
export async function claimRates(
  location: StoreLocation,
  backlogs: readonly number[],
  claims = 500,
): Promise<ClaimRate[]> {
  await using store = await openStore({ ...location, secretsKey: randomBytes(32) });
  const events: Event[] = [];
  for (let owner = 0; owner < OWNERS; owner++) events.push(await benchEvent(store, `owner-${owner}`));
  const rates: ClaimRate[] = [];
  let waiting = 0;
  for (const backlog of backlogs) {
    for (; waiting < backlog; waiting += BATCH) {
      const count = Math.min(BATCH, backlog - waiting);
      await store.queue.enqueue(
        Array.from({ length: count }, (_, index) => benchRequest(events[index % OWNERS]!, { index })),
      );
      if (count < BATCH) waiting -= BATCH - count;
    }
    const { taken, seconds } = await drain(store, Math.min(claims, backlog));
    waiting -= taken;
    rates.push({ backlog, claimsPerSecond: Math.round(taken / seconds) });
  }
  return rates;
}

export function benchEvent(store: Store, owner: string): Promise<Event> {
  return store.events.create(owner, {
    name: `bench-${owner}`,
    runtime: 'bash',
    code: 'true',
    description: '',
    auth: 'jwt',
    enabled: true,
    limits: { timeoutMs: 1_000, memoryMb: 64, cpus: 1 },
    env: {},
    secrets: {},
  });
}

export function benchRequest(event: Event, payload: unknown): NewInvocation {
  return { id: uuidv7(), event, caller: { userId: 'bench', tier: null }, trigger: 'async', payload };
}

async function drain(store: Store, count: number): Promise<{ taken: number; seconds: number }> {
  const began = performance.now();
  let taken = 0;
  while (taken < count) {
    for (const claim of await store.queue.claim('bench:1', WANT, 60_000)) {
      await store.queue.end(claim, { status: 'succeeded', record: RECORD, failed: false });
      taken += 1;
    }
  }
  return { taken, seconds: (performance.now() - began) / 1_000 };
}
