import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Store } from '../../src/core/store.ts';
import { WriteBehindRecorder } from '../../src/store/recorder.ts';
import { openStore } from '../../src/store/store.ts';
import { draft, invocation } from '../contract/store.ts';

const run = promisify(execFile);
const secretsKey = randomBytes(32);
const away = { code: 'store_unavailable', status: 503 };
const asRoot = process.getuid?.() === 0;

/** Whether files can be made immutable in the folder for temporary files, as root on most Linux file systems. */
function canFreezeFiles(): boolean {
  const probe = join(tmpdir(), `cronium-probe-${randomBytes(6).toString('hex')}`);
  try {
    execFileSync('sh', ['-c', `: > ${probe} && chattr +i ${probe} && chattr -i ${probe}`], {
      stdio: 'ignore',
    });
    return true;
  } catch {
    return false;
  } finally {
    execFileSync('rm', ['-f', probe]);
  }
}

const freezable = canFreezeFiles();
if (!asRoot) console.log('skips: a full disk: only root can mount a small file system');
if (!freezable) console.log('skips: a file that turns read-only: chattr +i does not work here');

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cronium-faults-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Takes records for a while; all of them must be there in the end. */
async function recordsThrough(
  store: Store,
  fault: () => Promise<void>,
  mend: () => Promise<void>,
): Promise<void> {
  const errors: unknown[] = [];
  const refused: unknown[] = [];
  const recorder = new WriteBehindRecorder(store.invocations, {
    delayMs: 1,
    maxBackoffMs: 50,
    onError: (error) => errors.push(error),
    onRefused: (error) => refused.push(error),
  });
  const records = Array.from({ length: 60 }, () => invocation());
  for (const record of records.slice(0, 20)) recorder.record(record);
  await fault();
  for (const record of records.slice(20)) recorder.record(record);
  await expect.poll(() => errors.length).toBeGreaterThan(2);
  for (const error of errors) expect(error).toMatchObject(away);
  await mend();
  await expect.poll(() => recorder.waiting).toBe(0);
  expect(refused).toEqual([]);
  expect(await recorder.close()).toBe(0);
  const { items } = await store.invocations.listByEvent('alice', 'hello', { limit: 200 });
  expect(new Set(items.map((item) => item.id))).toEqual(new Set(records.map((record) => record.id)));
}

describe('a SQLite database', () => {
  test('that another process has locked refuses writes at once, reads on, and takes them afterwards', async () => {
    const path = join(folder, 'cronium.db');
    const reasons: unknown[] = [];
    await using store = await openStore({ path, secretsKey, onError: (error) => reasons.push(error) });
    const event = await store.events.create('alice', draft());
    using other = new DatabaseSync(path);
    await recordsThrough(
      store,
      async () => {
        other.exec('begin immediate');
        const begun = performance.now();
        await expect(store.events.replace('alice', 'hello', draft({ code: 'x' }))).rejects.toMatchObject(
          away,
        );
        expect(performance.now() - begun).toBeLessThan(1_000);
        expect(await store.events.find('hello')).toEqual(event);
        expect(reasons).toMatchObject([{ message: 'database is locked' }]);
      },
      async () => other.exec('rollback'),
    );
    expect(await store.events.replace('alice', 'hello', draft({ code: 'x' }))).toMatchObject({
      current: { version: 2 },
    });
  });

  test.skipIf(!asRoot)(
    'on a disk that is full refuses writes, reads on, and takes them when there is room',
    async () => {
      await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'cronium-test', folder]);
      const filler = join(folder, 'filler');
      try {
        await using store = await openStore({ path: join(folder, 'data', 'cronium.db'), secretsKey });
        const event = await store.events.create('alice', draft());
        await recordsThrough(
          store,
          async () => {
            await writeFile(filler, Buffer.alloc(2 ** 20)).catch(() => {});
            const big = draft({ name: 'big', code: 'x'.repeat(200_000) });
            await expect(store.events.create('alice', big)).rejects.toMatchObject(away);
            await expect(store.events.create('alice', big)).rejects.toMatchObject(away);
            expect(await store.events.find('hello')).toEqual(event);
            expect(await store.events.find('big')).toBeUndefined();
            for (let fill = 0; fill < 50; fill++) {
              const logs = 'x'.repeat(20_000);
              await store.invocations.save([invocation({ ownerId: 'filler', logs })]).catch(() => {});
            }
          },
          () => rm(filler),
        );
        const big = draft({ name: 'big', code: 'x'.repeat(200_000) });
        expect(await store.events.create('alice', big)).toMatchObject({ name: 'big' });
      } finally {
        await run('umount', [folder]);
      }
    },
  );

  test.skipIf(!freezable)(
    'whose files turn read-only refuses writes, reads on, and takes them afterwards',
    async () => {
      const data = join(folder, 'data');
      // Not the index in shared memory (-shm): a file system that fails keeps the pages that are mapped.
      const chattr = async (flag: '+i' | '-i') => {
        for (const name of ['cronium.db', 'cronium.db-wal']) await run('chattr', [flag, join(data, name)]);
      };
      await using store = await openStore({ path: join(data, 'cronium.db'), secretsKey });
      const event = await store.events.create('alice', draft());
      try {
        await recordsThrough(
          store,
          async () => {
            await chattr('+i');
            await expect(store.events.create('alice', draft({ name: 'b' }))).rejects.toMatchObject(away);
            expect(await store.events.find('hello')).toEqual(event);
          },
          () => chattr('-i'),
        );
      } finally {
        await chattr('-i');
      }
      expect(await store.events.create('alice', draft({ name: 'b' }))).toBeDefined();
    },
  );

  test('that cannot be opened is refused with the reason, by the name of DATA_DIR', async () => {
    await writeFile(join(folder, 'file'), '');
    const opened = openStore({ path: join(folder, 'file', 'cronium.db'), secretsKey });
    await expect(opened).rejects.toThrow(/^DATA_DIR: the database cannot be used: (ENOTDIR|EEXIST)/);
    await expect(openStore({ path: folder, secretsKey })).rejects.toThrow(/^DATA_DIR: .*EISDIR/);
  });
});
