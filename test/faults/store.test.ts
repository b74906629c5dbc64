import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { onEngine } from '../on-engine.ts';
import { onPostgres } from '../on-postgres.ts';
import { type Answer, eventually, Served } from './served.ts';

const run = promisify(execFile);
const asRoot = process.getuid?.() === 0;
const CALLS = 30;
/** Whoever cannot be served is told so soon, also when the database's server does not answer at all. */
const TOLD_WITHIN_MS = 12_000;

/** Whether files can be made immutable in the folder for temporary files, as root on most Linux file systems. */
function canFreezeFiles(): boolean {
  const probe = mkdtempSync(join(tmpdir(), 'cronium-probe-'));
  try {
    execFileSync('chattr', ['+i', probe], { stdio: 'ignore' });
    execFileSync('chattr', ['-i', probe], { stdio: 'ignore' });
    return true;
  } catch {
    console.log('skips: a file that turns read-only: chattr +i does not work here');
    return false;
  } finally {
    rmdirSync(probe);
  }
}

interface Fault {
  /** What cannot be done meanwhile; a database that takes no writes may well be read. */
  refused: 'writes' | 'everything';
  begin(gateway: Served): Promise<void>;
  end(): Promise<void>;
}

function expectUnavailable({ problem, headers, body }: Answer): void {
  expect(problem, body).toMatchObject({ status: 503, code: 'store_unavailable' });
  expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
}

/** Serves through the fault, and comes to itself after it. */
async function servesThrough(gateway: Served, fault: Fault): Promise<void> {
  await gateway.deploy('hello', 'bash', 'echo hello');
  expect((await gateway.send('/e/hello')).body).toBe('hello\n');
  await gateway.newestOf('hello');
  await fault.begin(gateway);
  const ids: string[] = [];
  try {
    for (let call = 0; call < CALLS; call++) {
      const answer = await gateway.send('/e/hello');
      expect(answer.body).toBe('hello\n');
      ids.push(answer.headers.get('x-cronium-invocation-id')!);
    }
    const begun = performance.now();
    // Larger than what a full disk may have left in the pages that there are.
    expectUnavailable(await gateway.tryDeploy('other', 'bash', `# ${'x'.repeat(300_000)}`));
    if (fault.refused === 'everything') {
      expectUnavailable(await gateway.send('/v1/events'));
      expectUnavailable(await gateway.send('/e/nobody-asked-for-yet'));
      expect((await gateway.unready()).join()).toContain('database');
    }
    expect(performance.now() - begun).toBeLessThan(TOLD_WITHIN_MS * 4);
    expect((await gateway.send('/healthz')).status).toBe(200);
  } finally {
    await fault.end();
  }
  await eventually('readiness', async () => ((await gateway.unready()).length === 0 ? true : undefined));
  await eventually('deploy', async () =>
    [201, 409].includes((await gateway.tryDeploy('other', 'bash', 'echo other')).status) ? true : undefined,
  );
  expect((await gateway.send('/e/other')).body).toBe('other\n');
  await eventually('written records', async () =>
    (await gateway.metric('cronium_recorder_waiting')) === 0 ? true : undefined,
  );
  expect(await gateway.metric('cronium_recorder_dropped_total')).toBe(0);
  const recorded = new Set((await gateway.records('hello')).map(({ id }) => id));
  expect(ids.filter((id) => !recorded.has(id))).toEqual([]);
  expect(await gateway.stop()).toEqual({ code: 0, left: [] });
}

await onEngine('bubblewrap', () => {
  test.skipIf(!asRoot)('calls are answered while the disk of a SQLite database is full', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cronium-disk-'));
    await run('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'cronium-test', folder]);
    const filler = join(folder, 'filler');
    try {
      await using gateway = await Served.start({ dataDir: join(folder, 'data') });
      await servesThrough(gateway, {
        refused: 'writes',
        begin: () => writeFile(filler, Buffer.alloc(2 ** 21)).catch(() => {}),
        end: () => rm(filler),
      });
    } finally {
      await run('umount', [folder]);
      await rm(folder, { recursive: true });
    }
  });

  test.skipIf(!canFreezeFiles())(
    'calls are answered while the files of a SQLite database are read-only',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'cronium-disk-'));
      try {
        await using gateway = await Served.start({ dataDir: join(folder, 'data') });
        // Not the index in shared memory (-shm): a file system that fails keeps the pages that are mapped.
        const files = ['cronium.db', 'cronium.db-wal'].map((name) => join(folder, 'data', name));
        await servesThrough(gateway, {
          refused: 'writes',
          begin: () => run('chattr', ['+i', ...files]).then(() => {}),
          end: () => run('chattr', ['-i', ...files]).then(() => {}),
        });
      } finally {
        await rm(folder, { recursive: true });
      }
    },
  );

  onPostgres('calls are answered while a Postgres server', (server) => {
    test.each<[string, (url: string) => Fault]>([
      [
        'is stopped',
        () => ({ refused: 'everything', begin: () => server().stop(), end: () => server().start() }),
      ],
      [
        'has crashed',
        () => ({
          refused: 'everything',
          begin: () => server().stop('immediate'),
          end: () => server().start(),
        }),
      ],
      [
        'hangs',
        () => ({ refused: 'everything', begin: () => server().freeze(), end: () => server().thaw() }),
      ],
      [
        'is read-only',
        (url) => {
          const set = async (value: string) => {
            const name = new URL(url).pathname.slice(1);
            await server().query(`alter database ${name} set default_transaction_read_only = ${value}`);
            await server().cutConnections();
          };
          return { refused: 'writes', begin: () => set('on'), end: () => set('off') };
        },
      ],
    ])(
      '%s',
      async (_, faultOf) => {
        const url = await server().createDatabase();
        await using gateway = await Served.start({ env: { DATABASE_URL: url } });
        await servesThrough(gateway, faultOf(url));
      },
      120_000,
    );
  });
});
