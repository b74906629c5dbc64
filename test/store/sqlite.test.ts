import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { EventAuth } from '../../src/core/event.ts';
import { openStore } from '../../src/store/store.ts';
import { deliveriesContract } from '../contract/deliveries.ts';
import { queueContract } from '../contract/queue.ts';
import { draft, invocation, storeContract } from '../contract/store.ts';

const secretsKey = randomBytes(32);
let directory: string;
let path: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cronium-store-'));
  path = join(directory, 'data', 'cronium.db');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

queueContract('SQLite in a file', () => openStore({ path, secretsKey }));
deliveriesContract('SQLite in a file', () => openStore({ path, secretsKey }));
storeContract('SQLite in a file', () => openStore({ path, secretsKey }));
storeContract('SQLite in memory', () => openStore({ path: ':memory:', secretsKey }));

describe('a database file', () => {
  test('holds everything over a restart', async () => {
    const record = invocation();
    await using first = await openStore({ path, secretsKey });
    const event = await first.events.create('alice', draft());
    await first.invocations.save([record]);
    await first[Symbol.asyncDispose]();

    await using second = await openStore({ path, secretsKey });
    expect(await second.events.find('hello')).toEqual(event);
    expect(await second.invocations.find(record.id)).toEqual(record);
  });

  test('is readable by its owner only, with the files beside it', async () => {
    await using store = await openStore({ path, secretsKey });
    await store.events.create('alice', draft());
    const folder = join(directory, 'data');
    for (const file of await readdir(folder)) {
      expect((await stat(join(folder, file))).mode & 0o077, file).toBe(0);
    }
  });

  test('has no secret in the clear, and seals equal secrets differently', async () => {
    const secrets = { TOKEN: 'findable-needle' };
    const auth: EventAuth = {
      type: 'webhook',
      scheme: 'github',
      secrets: ['findable-needle'],
      toleranceSeconds: 300,
      dedupSeconds: 60,
      respond: 'async',
    };
    {
      await using store = await openStore({ path, secretsKey });
      await store.events.create('alice', draft({ name: 'one', secrets, auth }));
      await store.events.create('alice', draft({ name: 'two', secrets, auth }));
    }
    expect((await readFile(path)).includes('findable-needle')).toBe(false);
    using database = new DatabaseSync(path);
    const sealed = database.prepare('select distinct secrets from event_versions').all();
    expect(sealed).toHaveLength(2);
    expect(database.prepare('select distinct webhook from events').all()).toHaveLength(2);
  });

  test('is refused with another key, and the refusal names SECRETS_KEY', async () => {
    await (await openStore({ path, secretsKey }))[Symbol.asyncDispose]();
    const opened = openStore({ path, secretsKey: randomBytes(32) });
    await expect(opened).rejects.toThrow(/SECRETS_KEY is not the key/);
    await expect(openStore({ path, secretsKey: randomBytes(16) })).rejects.toThrow(/SECRETS_KEY must be 32/);
  });

  test('refuses to change a version, whoever asks', async () => {
    await using store = await openStore({ path, secretsKey });
    await store.events.create('alice', draft());
    using database = new DatabaseSync(path);
    expect(() => database.exec("update event_versions set code = 'evil'")).toThrow(/never changes/);
  });

  test('refuses secrets that were moved to another event', async () => {
    await using store = await openStore({ path, secretsKey });
    await store.events.create('alice', draft({ name: 'rich' }));
    await store.events.create('bob', draft({ name: 'poor', secrets: {} }));
    using database = new DatabaseSync(path);
    database.exec(`drop trigger event_versions_are_immutable;
      update event_versions set secrets = (select secrets from event_versions v join events e on e.id = v.event_id where e.name = 'rich')`);
    await expect(store.events.find('poor')).rejects.toThrow(/cannot be decrypted/);
    expect((await store.events.find('rich'))?.current.secrets).toEqual(draft().secrets);
  });

  test('keeps old versions beside the current one', async () => {
    await using store = await openStore({ path, secretsKey });
    await store.events.create('alice', draft());
    await store.events.replace('alice', 'hello', draft({ code: 'two' }));
    using database = new DatabaseSync(path);
    const codes = database.prepare('select code from event_versions order by version').all();
    expect(codes.map((row) => row.code)).toEqual([draft().code, 'two']);
  });

  test('takes a big batch with an all-or-none save', async () => {
    await using store = await openStore({ path, secretsKey });
    const good = Array.from({ length: 150 }, () => invocation());
    const bad = invocation({ eventVersion: undefined as unknown as number });
    await expect(store.invocations.save([...good, bad])).rejects.toThrow();
    expect((await store.invocations.listByEvent('alice', 'hello', { limit: 10 })).items).toEqual([]);
    await store.invocations.save(good);
    expect((await store.invocations.listByEvent('alice', 'hello', { limit: 200 })).items).toHaveLength(150);
  });
});
