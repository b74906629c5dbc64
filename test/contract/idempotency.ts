import { randomBytes } from 'node:crypto';
import { v7 as uuidv7 } from 'uuid';
import { expect, test } from 'vitest';
import type { KeptAnswer, KeyClaim } from '../../src/core/idempotency.ts';
import type { Store } from '../../src/core/store.ts';

const HOUR_MS = 3_600_000;

export function keyClaim(changes: Partial<KeyClaim> = {}): KeyClaim {
  return {
    key: randomBytes(32).toString('hex'),
    fingerprint: 'f1',
    invocationId: uuidv7(),
    leaseMs: HOUR_MS,
    ttlMs: HOUR_MS,
    ...changes,
  };
}

/** The same request, tried again. */
const again = (claim: KeyClaim, changes: Partial<KeyClaim> = {}): KeyClaim => ({
  ...claim,
  invocationId: uuidv7(),
  ...changes,
});

export function response(invocationId: string): KeptAnswer {
  return {
    kind: 'response',
    invocationId,
    statusCode: 201,
    headers: { 'content-type': 'text/plain', 'x-own': 'é\u0001' },
    cookies: ['a=1', 'b=2'],
    version: 3,
    start: 'warm',
    isolation: 'bubblewrap',
    body: Buffer.from([0, 255, 1, 128]),
  };
}

/** What every Store promises of keys that make requests idempotent. */
export function idempotencyContract(current: () => Store): void {
  test('of 50 claims at once one is granted, and the others are told whose', async () => {
    const claim = keyClaim();
    const claims = Array.from({ length: 50 }, () => again(claim));
    const results = await Promise.all(claims.map((one) => current().idempotency.claim(one)));
    const granted = claims.filter((_, index) => results[index]?.state === 'granted');
    expect(granted).toHaveLength(1);
    const running = results.filter((result) => result.state === 'running');
    expect(new Set(running.map((result) => result.invocationId))).toEqual(
      new Set([granted[0]?.invocationId]),
    );
    expect(running).toHaveLength(49);
  });

  test('the first answer is kept as it was, whatever it was', async () => {
    const answers: ((invocationId: string) => KeptAnswer)[] = [
      response,
      (invocationId) => ({ kind: 'failure', invocationId, code: 'function_error', message: 'é' }),
      (invocationId) => ({ kind: 'accepted', invocationId }),
      (invocationId) => ({ kind: 'too_large', invocationId }),
    ];
    for (const answerOf of answers) {
      const claim = keyClaim();
      await current().idempotency.claim(claim);
      const answer = answerOf(claim.invocationId);
      expect(await current().idempotency.keep(claim, answer)).toBe(true);
      expect(await current().idempotency.claim(again(claim))).toEqual({ state: 'answered', answer });
    }
  });

  test('another request with the key is told so, while the first runs and later', async () => {
    const claim = keyClaim();
    const other = again(claim, { fingerprint: 'f2' });
    await current().idempotency.claim(claim);
    expect(await current().idempotency.claim(other)).toEqual({ state: 'mismatch' });
    await current().idempotency.keep(claim, response(claim.invocationId));
    expect(await current().idempotency.claim(other)).toEqual({ state: 'mismatch' });
  });

  test('after the lease the same request is granted, another is not, and the first one’s answer is refused', async () => {
    const first = keyClaim({ leaseMs: 0 });
    await current().idempotency.claim(first);
    expect(await current().idempotency.claim(again(first, { fingerprint: 'f2' }))).toEqual({
      state: 'mismatch',
    });
    const second = again(first, { leaseMs: HOUR_MS });
    expect(await current().idempotency.claim(second)).toEqual({ state: 'granted' });
    expect(await current().idempotency.keep(first, response(first.invocationId))).toBe(false);
    await current().idempotency.release(first);
    expect(await current().idempotency.claim(again(first))).toMatchObject({ state: 'running' });
    expect(await current().idempotency.keep(second, response(second.invocationId))).toBe(true);
  });

  test('of many that wait for a lease to end one is granted', async () => {
    const dead = keyClaim({ leaseMs: 0 });
    await current().idempotency.claim(dead);
    const claims = Array.from({ length: 20 }, () => again(dead, { leaseMs: HOUR_MS }));
    const results = await Promise.all(claims.map((one) => current().idempotency.claim(one)));
    expect(results.filter(({ state }) => state === 'granted')).toHaveLength(1);
  });

  test('a key that is given back is free, and one that is answered cannot be given back', async () => {
    const claim = keyClaim();
    await current().idempotency.claim(claim);
    await current().idempotency.release(claim);
    const other = again(claim, { fingerprint: 'f2' });
    expect(await current().idempotency.claim(other)).toEqual({ state: 'granted' });
    await current().idempotency.keep(other, response(other.invocationId));
    await current().idempotency.release(other);
    expect(await current().idempotency.claim(again(other))).toMatchObject({ state: 'answered' });
  });

  test('a key whose time is over is free for any request, and pruned in batches', async () => {
    const old = keyClaim({ leaseMs: 0, ttlMs: 0 });
    await current().idempotency.claim(old);
    expect(await current().idempotency.claim(again(old, { fingerprint: 'f2', leaseMs: HOUR_MS }))).toEqual({
      state: 'granted',
    });
    for (let count = 0; count < 5; count++) {
      await current().idempotency.claim(keyClaim({ leaseMs: 0, ttlMs: 0 }));
    }
    expect(await current().idempotency.pruneExpired(3)).toBe(3);
    expect(await current().idempotency.pruneExpired(3)).toBe(2);
    expect(await current().idempotency.pruneExpired(3)).toBe(0);
    expect(await current().idempotency.claim(again(old, { fingerprint: 'f2' }))).toMatchObject({
      state: 'running',
    });
  });
}
