import { chmodSync, chownSync } from 'node:fs';
import { createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { findEngine, ORDINARY_UID } from '../engines.ts';
import { CLI, cleanEnv, cronium, type Ended, run, TempDir } from './processes.ts';

const SECRET = 'a'.repeat(32);
const isRoot = process.getuid?.() === 0;
const ordinary = await findEngine('bubblewrap as an ordinary user');
if (!isRoot) console.warn('skipped: a DATA_DIR of another user: this takes root to make');
if (ordinary.unavailable) console.warn(`skipped: starting as an ordinary user: ${ordinary.unavailable}`);

/** A start that must not succeed. */
async function start(env: Record<string, string>): Promise<Ended> {
  using dir = new TempDir();
  // Awaited here: the directory must outlast the process.
  return await cronium(['serve'], { DATA_DIR: dir.path, PORT: '0', ...env });
}

/** One message for a person, and nothing of the program's insides. */
function expectOneMessage(ended: Ended, stderr: string | RegExp): void {
  expect(ended.stdout).toBe('');
  if (typeof stderr === 'string') expect(ended.stderr).toBe(stderr);
  else expect(ended.stderr).toMatch(stderr);
  expect(ended.stderr).not.toMatch(/^\s+at .*:\d+/m);
  expect(ended.code).toBe(1);
}

describe('a fault of the configuration ends the start with one message', () => {
  test('PORT is in use: said before images are built', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    try {
      const ended = await start({
        PORT: String(port),
        ISOLATION_MODE: 'docker',
        DOCKER_HOST: 'unix:///nowhere',
      });
      expectOneMessage(
        ended,
        `cronium: PORT: ${port} is in use; set PORT to another, or to 0 for a free one.\n`,
      );
    } finally {
      server.close();
    }
  });

  test.each(['203.0.113.1', 'no-such-host.invalid', 'not an address'])('HOST is %j', async (HOST) => {
    expectOneMessage(await start({ HOST }), `cronium: HOST: ${HOST} is no address of this machine.\n`);
  });

  test('JWT_SECRET is too short', async () => {
    const message =
      /^cronium: The configuration has a fault:\n {2}JWT_SECRET: must be at least 32 bytes; .*\n$/;
    expectOneMessage(await start({ JWT_SECRET: 'short' }), message);
  });

  test('several at once: every one by its name', async () => {
    const faults = {
      PORT: 'x',
      ISOLATION_MODE: 'none',
      POOL_MIN: '9',
      JWT_SECRET: SECRET,
      JWT_JWKS_URL: 'ftp://a',
    };
    const ended = await start(faults);
    expectOneMessage(ended, /^cronium: The configuration has faults:\n/);
    for (const name of ['PORT', 'ISOLATION_MODE', 'JWT_JWKS_URL'])
      expect(ended.stderr).toContain(`\n  ${name}: `);
  });

  test('DATA_DIR is a file', async () => {
    expectOneMessage(await start({ DATA_DIR: CLI }), /^cronium: DATA_DIR: \S+ cannot be made: EEXIST: .*\n$/);
  });

  test.skipIf(!isRoot || ordinary.unavailable)('DATA_DIR belongs to another user', async () => {
    using dir = new TempDir();
    chmodSync(dir.path, 0o755);
    const asOrdinary = (dataDir: string) => {
      const user = [`--reuid=${ORDINARY_UID}`, `--regid=${ORDINARY_UID}`, '--clear-groups', '--'];
      const env = { ...cleanEnv(), DATA_DIR: dataDir, PORT: '0' };
      return run(['/usr/bin/setpriv', ...user, process.execPath, CLI, 'serve'], { env });
    };
    const notWritten = await asOrdinary(dir.path);
    expectOneMessage(notWritten, /^cronium: DATA_DIR: \S+ cannot be written: .*\n$/);
    const notMade = await asOrdinary(`${dir.path}/data`);
    expectOneMessage(notMade, /^cronium: DATA_DIR: \S+ cannot be made: EACCES: .*\n$/);
    chownSync(dir.path, ORDINARY_UID, ORDINARY_UID);
    chmodSync(dir.path, 0o555);
    expectOneMessage(await asOrdinary(dir.path), /^cronium: DATA_DIR: \S+ cannot be written: .*\n$/);
  });
});
