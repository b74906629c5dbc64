import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStore, type StoreLocation } from '../../src/store/store.ts';
import { onPostgres } from '../on-postgres.ts';

const secretsKey = randomBytes(32);
const PROCESSES = 5;

/** Opens the store at a set moment and uses it, as a gateway that starts does. */
const CHILD = `
  import { openStore } from '${new URL('../../src/store/store.ts', import.meta.url).href}';
  const { location, key, at, name } = JSON.parse(process.argv[1]);
  await new Promise((resolve) => setTimeout(resolve, at - Date.now()));
  const store = await openStore({ ...location, secretsKey: Buffer.from(key, 'hex') });
  const draft = { name, runtime: 'bash', code: 'true', description: '', auth: 'jwt', enabled: true,
    limits: { timeoutMs: 1, memoryMb: 64, cpus: 1 }, env: {}, secrets: {} };
  for (let made; made === undefined; ) {
    made = await store.events.create('alice', draft).catch((error) => {
      // In service there is one gateway to a file: what another one holds for long is told, and not waited for.
      if (error.code !== 'store_unavailable') throw error;
    });
  }
  await store[Symbol.asyncDispose]();
`;

async function openAtOnce(location: StoreLocation): Promise<string[]> {
  const at = Date.now() + 1_500;
  const runs = Array.from({ length: PROCESSES }, async (_, index) => {
    const options = { location, key: secretsKey.toString('hex'), at, name: `event-${index}` };
    const child = spawn(process.execPath, ['--input-type=module', '-e', CHILD, JSON.stringify(options)], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
    return code === 0 ? 'ok' : stderr;
  });
  return Promise.all(runs);
}

async function eventNames(location: StoreLocation): Promise<string[]> {
  await using store = await openStore({ ...location, secretsKey });
  return (await store.events.list('alice')).map((event) => event.name);
}

const everyOne = Array.from({ length: PROCESSES }, (_, index) => `event-${index}`);
const fine = everyOne.map(() => 'ok');
const NEWER = "insert into kysely_migration values ('9999-later', '2030-01-01T00:00:00.000Z')";
const refusal = /migrated by a newer gateway, and this one does not know 9999-later\. Start that version/;

describe('a SQLite file', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cronium-migrations-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test.each([1, 2, 3])(
    'is made by one of several processes at once, and used by all (round %i)',
    async (round) => {
      const location = { path: join(folder, `${round}.db`) };
      expect(await openAtOnce(location)).toEqual(fine);
      expect(await eventNames(location)).toEqual(everyOne);
    },
  );

  test('of a newer gateway is refused, and left as it was', async () => {
    const path = join(folder, 'newer.db');
    await (await openStore({ path, secretsKey }))[Symbol.asyncDispose]();
    using database = new DatabaseSync(path);
    database.exec(NEWER);
    const rows = () => database.prepare('select * from kysely_migration order by name').all();
    const before = rows();
    await expect(openStore({ path, secretsKey })).rejects.toThrow(refusal);
    expect(rows()).toEqual(before);
  });

  test('whose migration failed has nothing of it', async () => {
    const path = join(folder, 'failed.db');
    using database = new DatabaseSync(path);
    database.exec('create table invocations (mine text)');
    await expect(openStore({ path, secretsKey })).rejects.toThrow(/already exists/);
    const tables = database.prepare("select name from sqlite_schema where type = 'table'").all();
    expect(tables.map((table) => table.name)).toEqual(['invocations']);
  });
});

onPostgres('a Postgres database', (server) => {
  test.each([1, 2, 3])(
    'is made by one of several processes at once, and used by all (round %i)',
    async () => {
      const location = { url: await server().createDatabase() };
      expect(await openAtOnce(location)).toEqual(fine);
      expect(await eventNames(location)).toEqual(everyOne);
      const names = (await server().query('select name from kysely_migration', location.url)).map(
        (row) => row.name,
      );
      expect(names).toContain('0001-first');
      expect(names).toHaveLength(new Set(names).size);
    },
  );

  test('of a newer gateway is refused, and left as it was', async () => {
    const url = await server().createDatabase();
    await (await openStore({ url, secretsKey }))[Symbol.asyncDispose]();
    await server().query(NEWER, url);
    const rows = () => server().query('select * from kysely_migration order by name', url);
    const before = await rows();
    await expect(openStore({ url, secretsKey })).rejects.toThrow(refusal);
    expect(await rows()).toEqual(before);
  });

  test('whose migration failed has nothing of it', async () => {
    const url = await server().createDatabase();
    await server().query('create table invocations (mine text)', url);
    await expect(openStore({ url, secretsKey })).rejects.toThrow(/already exists/);
    const tables = await server().query("select tablename from pg_tables where schemaname = 'public'", url);
    expect(tables.map((table) => table.tablename)).not.toContain('events');
  });
});
