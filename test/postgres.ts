import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chownSync, existsSync, globSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';

/** How to get rid of the processes: `fast` ends connections, `immediate` is a crash that is recovered from at start. */
const SIGNALS = { fast: 'SIGINT', immediate: 'SIGQUIT' } as const;
const START_TIMEOUT_MS = 30_000;
/** The server refuses to run as root. */
const UNPRIVILEGED = 'nobody';

/** A Postgres server of the tests' own, which is gone with all its data when disposed. */
export interface PostgresServer extends AsyncDisposable {
  readonly password: string;
  /** Makes a database, empty or as another one is that nobody uses, and returns its URL. */
  createDatabase(options?: { encoding?: string; template?: string }): Promise<string>;
  /** The same database over the Unix socket. */
  socketUrl(url: string): string;
  /** Runs SQL as the superuser, in the maintenance database unless told. */
  query(text: string, url?: string): Promise<Record<string, unknown>[]>;
  /** Cuts every connection of clients; resolves to how many there were. */
  cutConnections(): Promise<number>;
  stop(how?: keyof typeof SIGNALS): Promise<void>;
  start(): Promise<void>;
  /** Stops or continues all processes of the server, as on a machine that hangs. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
}

/** Where the server's programs are, the newest first; Debian keeps them out of PATH. */
export function findPostgres(): string | undefined {
  const debian = globSync('/usr/lib/postgresql/*/bin').sort((a, b) => majorOf(b) - majorOf(a));
  const folders = [...debian, ...(process.env.PATH ?? '').split(delimiter)];
  return folders.find((folder) => ['initdb', 'postgres'].every((name) => existsSync(join(folder, name))));
}

const majorOf = (path: string) => Number(/\/(\d+)\/bin$/.exec(path)?.[1] ?? 0);

export async function startPostgres(bin: string): Promise<PostgresServer> {
  const folder = await mkdtemp(join(tmpdir(), 'cronium-pg-'));
  try {
    return await startIn(folder, bin);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function startIn(folder: string, bin: string): Promise<PostgresServer> {
  const asRoot = process.getuid?.() === 0;
  const { uid, gid } = await idsOf(UNPRIVILEGED);
  const as = asRoot ? [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'] : [];
  // A test run that is killed takes its server along.
  const command = (name: string, ...args: string[]) =>
    ['setpriv', [...as, '--pdeathsig=QUIT', '--', join(bin, name), ...args]] as const;

  const data = join(folder, 'data');
  const passwordFile = join(folder, 'password');
  const password = randomBytes(12).toString('hex');
  await mkdir(data, { mode: 0o700 });
  await writeFile(passwordFile, password);
  await chmod(folder, 0o700);
  if (asRoot) {
    for (const path of [folder, data, passwordFile]) chownSync(path, uid, gid);
  }
  const initdb = command('initdb', '-D', data, '-U', 'cronium', '-A', 'scram-sha-256', '--no-sync');
  await promisify(execFile)(
    initdb[0],
    [...initdb[1], `--pwfile=${passwordFile}`, '--encoding=UTF8', '--locale=C.UTF-8'],
    { cwd: folder },
  );

  const port = await freePort();
  const urlOf = (database: string) => `postgres://cronium:${password}@127.0.0.1:${port}/${database}`;
  let server: ChildProcess | undefined;

  const start = async () => {
    const [file, args] = command('postgres', '-D', data, '-k', folder, '-h', '127.0.0.1', '-p', String(port));
    const settings = ['fsync=off', 'max_connections=60', 'shared_buffers=16MB', 'logging_collector=off'];
    const child = spawn(file, [...args, ...settings.flatMap((setting) => ['-c', setting])], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let log = '';
    child.stderr.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-20_000);
    });
    server = child;
    const end = performance.now() + START_TIMEOUT_MS;
    while (!(await answers(urlOf('postgres')))) {
      if (child.exitCode !== null || performance.now() > end) {
        throw new Error(`Postgres does not start: ${log}`);
      }
      await sleep(20);
    }
  };

  const signal = async (name: NodeJS.Signals) => {
    for (const pid of await treeOf(server!.pid!)) {
      try {
        process.kill(pid, name);
      } catch {
        // A process for one connection may have ended meanwhile.
      }
    }
  };

  const stop = async (how: keyof typeof SIGNALS = 'fast') => {
    const child = server;
    server = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(SIGNALS[how]);
    await exited;
  };

  const query = async (text: string, url = urlOf('postgres')) => {
    const client = new pg.Client({ connectionString: url, application_name: 'test' });
    await client.connect();
    try {
      return (await client.query(text)).rows;
    } finally {
      await client.end();
    }
  };

  await start();
  // A locale that does not sort by code point, where the server knows one by that name: nothing may depend on it.
  const icu = majorOf(bin) >= 15 ? "locale_provider icu icu_locale 'en'" : '';
  let databases = 0;
  return {
    password,
    query,
    start,
    stop,
    freeze: () => signal('SIGSTOP'),
    thaw: () => signal('SIGCONT'),
    socketUrl: (url) => {
      const { pathname } = new URL(url);
      return `postgresql://cronium:${password}@${encodeURIComponent(folder)}:${port}${pathname}`;
    },
    async createDatabase({ encoding, template } = {}) {
      const name = `test_${++databases}`;
      const options = encoding === undefined ? icu : `encoding '${encoding}' locale 'C'`;
      const origin = template === undefined ? `template0 ${options}` : new URL(template).pathname.slice(1);
      await query(`create database ${name} template ${origin}`);
      return urlOf(name);
    },
    async cutConnections() {
      const cut = await query(
        `select pg_terminate_backend(pid) from pg_stat_activity
          where backend_type = 'client backend' and pid <> pg_backend_pid()`,
      );
      return cut.length;
    },
    async [Symbol.asyncDispose]() {
      if (server !== undefined) await signal('SIGCONT');
      await stop('immediate');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

async function idsOf(user: string): Promise<{ uid: number; gid: number }> {
  const { stdout } = await promisify(execFile)('getent', ['passwd', user]);
  const [, , uid, gid] = stdout.split(':');
  return { uid: Number(uid), gid: Number(gid) };
}

async function treeOf(pid: number): Promise<number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return [pid, ...children.split(' ').filter(Boolean).map(Number)];
}
