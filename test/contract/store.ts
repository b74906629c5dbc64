import { v7 as uuidv7 } from 'uuid';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { EventAuth, EventDraft } from '../../src/core/event.ts';
import type { Store } from '../../src/core/store.ts';
import { aliasesContract } from './aliases.ts';
import { idempotencyContract } from './idempotency.ts';
import { replaysContract } from './replays.ts';
import { retentionContract } from './retention.ts';
import { draft, invocation } from './samples.ts';
import { schedulesContract } from './schedules.ts';
import { variablesContract } from './variables.ts';
import { versionsContract } from './versions.ts';

export { draft, invocation };

/** What every Store promises, whatever database is below. `open` makes an empty one. */
export function storeContract(name: string, open: () => Promise<Store>): void {
  describe(`${name} keeps the store's contract`, () => {
    let store: Store;
    beforeEach(async () => {
      store = await open();
    });
    afterEach(() => store[Symbol.asyncDispose]());

    test('it answers a ping until it is closed, and may be closed twice', async () => {
      await store.ping();
      await store[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
      await expect(store.ping()).rejects.toThrow();
    });

    describe('events', () => {
      test('what was created is found by its name, secrets and all', async () => {
        const created = await store.events.create('alice', draft());
        expect(created).toMatchObject({ name: 'hello', ownerId: 'alice', current: { version: 1 } });
        expect(created.current.codeSha256).toMatch(/^[0-9a-f]{64}$/);
        expect(await store.events.find('hello')).toEqual(created);
      });

      test('a name that was never created is not found', async () => {
        expect(await store.events.find('nobody')).toBeUndefined();
      });

      test('a name is taken for everybody, and the first event stays as it was', async () => {
        const first = await store.events.create('alice', draft());
        const second = store.events.create('bob', draft({ code: 'other' }));
        await expect(second).rejects.toMatchObject({ code: 'event_exists' });
        expect(await store.events.find('hello')).toEqual(first);
      });

      test('of creates of one name at once exactly one succeeds', async () => {
        const tries = ['a', 'b', 'c', 'd'].map((owner) => store.events.create(owner, draft()));
        const results = await Promise.allSettled(tries);
        expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
      });

      test('a list has the owner’s events only, sorted by name', async () => {
        for (const name of ['zeta', 'alpha', 'mid']) await store.events.create('alice', draft({ name }));
        await store.events.create('bob', draft({ name: 'beta' }));
        const names = (await store.events.list('alice')).map((event) => event.name);
        expect(names).toEqual(['alpha', 'mid', 'zeta']);
        for (const name of ['a_b', 'ab', 'a-c']) await store.events.create('carol', draft({ name }));
        const byCodePoint = (await store.events.list('carol')).map((event) => event.name);
        expect(byCodePoint).toEqual(['a-c', 'a_b', 'ab']);
        expect(await store.events.list('nobody')).toEqual([]);
      });

      test('a webhook’s settings come back as they were, are changed without a version, and go', async () => {
        const auth: EventAuth = {
          type: 'webhook',
          scheme: 'github',
          secrets: ['It’s a Secret', 'another one'],
          toleranceSeconds: 300,
          dedupSeconds: 60,
          respond: 'async',
        };
        const created = await store.events.create('alice', draft({ auth }));
        expect(await store.events.find('hello')).toEqual(created);
        expect(created.auth).toEqual(auth);
        const changed = await store.events.replace(
          'alice',
          'hello',
          draft({ auth: { ...auth, secrets: ['x'] } }),
        );
        expect(changed).toMatchObject({ auth: { secrets: ['x'] }, current: { version: 1 } });
        await store.events.rollback('alice', 'hello', 1);
        expect((await store.events.find('hello'))?.auth).toMatchObject({ secrets: ['x'] });
        await store.events.replace('alice', 'hello', draft());
        expect((await store.events.find('hello'))?.auth).toBe('jwt');
      });

      test.each<[string, Partial<EventDraft>]>([
        ['code', { code: 'changed' }],
        ['runtime', { runtime: 'bash' }],
        ['timeout', { limits: { timeoutMs: 1, memoryMb: 512, cpus: 0.5 } }],
        ['memory', { limits: { timeoutMs: 30_000, memoryMb: 64, cpus: 0.5 } }],
        ['CPUs', { limits: { timeoutMs: 30_000, memoryMb: 512, cpus: 0.25 } }],
        ['environment', { env: { GREETING: 'hello' } }],
        ['environment’s size', { env: {} }],
        ['secrets', { secrets: { TOKEN: 'other' } }],
      ])('a replacement with another %s is a new version', async (_what, changes) => {
        const before = await store.events.create('alice', draft());
        const after = await store.events.replace('alice', 'hello', draft(changes));
        expect(after).toMatchObject({ id: before.id, createdAt: before.createdAt, current: { version: 2 } });
        expect(await store.events.find('hello')).toEqual(after);
      });

      test('a replacement of nothing but who may call it and how it is described keeps the version', async () => {
        const before = await store.events.create('alice', draft({ env: { A: '1', B: '2' } }));
        const changes = {
          description: 'new',
          auth: 'public',
          enabled: false,
          env: { B: '2', A: '1' },
        } as const;
        const after = await store.events.replace('alice', 'hello', draft(changes));
        expect(after).toMatchObject({ description: 'new', auth: 'public', enabled: false });
        expect(after?.current).toEqual(before.current);
        expect(await store.events.find('hello')).toEqual(after);
      });

      test('nobody but the owner replaces or removes', async () => {
        const before = await store.events.create('alice', draft());
        expect(await store.events.replace('bob', 'hello', draft({ code: 'bad' }))).toBeUndefined();
        expect(await store.events.remove('bob', 'hello')).toBe(false);
        expect(await store.events.find('hello')).toEqual(before);
      });

      test('replacements at once each make a version', async () => {
        await store.events.create('alice', draft());
        const codes = ['a', 'b', 'c', 'd'];
        await Promise.all(codes.map((code) => store.events.replace('alice', 'hello', draft({ code }))));
        expect((await store.events.find('hello'))?.current.version).toBe(5);
      });

      test('a removed event is gone, its name is free and its invocations stay', async () => {
        const event = await store.events.create('alice', draft());
        await store.invocations.save([invocation({ eventId: event.id })]);
        expect(await store.events.remove('alice', 'hello')).toBe(true);
        expect(await store.events.remove('alice', 'hello')).toBe(false);
        expect(await store.events.find('hello')).toBeUndefined();
        expect((await store.invocations.listByEvent('alice', 'hello', { limit: 10 })).items).toHaveLength(1);
        const again = await store.events.create('bob', draft());
        expect(again.id).not.toBe(event.id);
      });
    });

    describe('versions of events', () => versionsContract(() => store));
    describe('aliases of events', () => aliasesContract(() => store));
    describe('schedules', () => schedulesContract(() => store));
    describe('replays', () => replaysContract(() => store));

    describe('variables', () => variablesContract(() => store));

    describe('retention', () => retentionContract(() => store));

    describe('idempotency keys', () => idempotencyContract(() => store));

    describe('invocations', () => {
      test('what was saved is found again, field by field', async () => {
        const full = invocation({
          callerId: 'bob',
          error: { code: 'function_error', message: 'boom', trace: 'line 1' },
          exit: { code: null, signal: 'SIGKILL' },
          logs: 'ünï\n'.repeat(65_536),
          logsTruncated: true,
          receipt: 'header.payload.signature',
        });
        const bare = invocation({
          status: 'queued',
          start: null,
          isolation: null,
          phases: {},
          statusCode: null,
          exit: null,
          logs: '',
          endedAt: null,
        });
        await store.invocations.save([full, bare]);
        expect(await store.invocations.find(full.id)).toEqual(full);
        expect(await store.invocations.find(bare.id)).toEqual(bare);
        expect(await store.invocations.find(uuidv7())).toBeUndefined();
      });

      test('saving an id again replaces it, within one save too', async () => {
        const running = invocation({ status: 'running', endedAt: null });
        const failed = { ...running, status: 'failed' as const, endedAt: new Date(0), receipt: 'a.b.c' };
        await store.invocations.save([running]);
        await store.invocations.save([running, failed]);
        expect(await store.invocations.find(running.id)).toEqual(failed);
      });

      test('a NUL in the logs does not break the record', async () => {
        const binary = invocation({ logs: 'a\0b' });
        await store.invocations.save([binary]);
        expect((await store.invocations.find(binary.id))?.logs).toMatch(/^a.b$/su);
      });

      test('pages go from the newest to the oldest and end, each invocation once', async () => {
        const all = Array.from({ length: 250 }, () => invocation());
        await store.invocations.save(all);
        await store.invocations.save([invocation({ ownerId: 'bob' }), invocation({ eventName: 'other' })]);
        const seen: string[] = [];
        let cursor: string | null | undefined;
        do {
          const page = { limit: 100, ...(cursor ? { cursor } : {}) };
          const answer = await store.invocations.listByEvent('alice', 'hello', page);
          seen.push(...answer.items.map((item) => item.id));
          cursor = answer.nextCursor;
        } while (cursor !== null);
        expect(seen).toEqual(all.map((item) => item.id).reverse());
      });

      test('a page that is exactly full has no next one', async () => {
        await store.invocations.save([invocation(), invocation()]);
        const page = await store.invocations.listByEvent('alice', 'hello', { limit: 2 });
        expect(page.nextCursor).toBeNull();
      });

      test('a cursor that is not one of ours is refused by name', async () => {
        const page = store.invocations.listByEvent('alice', 'hello', { limit: 1, cursor: "x' or 1=1" });
        await expect(page).rejects.toMatchObject({ code: 'validation_failed', faults: [{ path: 'cursor' }] });
      });
    });
  });
}
