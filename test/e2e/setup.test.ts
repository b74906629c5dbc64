import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findEngine, ORDINARY_UID } from '../engines.ts';
import { cleanEnv, type Ended, ROOT, run, TempDir } from './processes.ts';

const NO_DOCKER = 'unix:///nowhere/docker.sock';
const APT_GET = '/usr/bin/apt-get';
const INSTALL = 'apt-get install -y --no-install-recommends bubblewrap python3 util-linux';
const bubblewrap = await findEngine('bubblewrap');
const cannotHide = bubblewrap.unavailable ?? (process.getuid?.() === 0 ? undefined : 'this takes root');
if (cannotHide) console.warn(`skipped: set-up on machines that lack something: ${cannotHide}`);

interface Machine {
  /** Programs that are not there. */
  without: readonly string[];
  uid?: number;
  env?: Record<string, string>;
  args?: string[];
}

/** A checkout whose dependencies have been installed, with nothing in them. */
function makeCheckout(path: string): void {
  for (const name of ['package.json', 'package-lock.json', 'scripts', 'bin']) {
    cpSync(join(ROOT, name), join(path, name), { recursive: true });
  }
  mkdirSync(join(path, 'node_modules', '.bin'), { recursive: true });
  symlinkSync(process.execPath, join(path, 'node_modules', '.bin', 'node'));
  const platform = `${process.platform}/${process.arch}`;
  const hash = createHash('sha256')
    .update(readFileSync(join(path, 'package-lock.json')))
    .update(platform);
  writeFileSync(join(path, 'node_modules', '.cronium-setup'), hash.digest('hex'));
}

/** Runs set-up where the programs are hidden from it, in a mount namespace of its own: the machine keeps them. */
function setUp(checkout: string, { without, uid = 0, env = {}, args = [] }: Machine): Promise<Ended> {
  const hidden = without.flatMap((path) => ['--ro-bind', '/dev/null', path]);
  const user = uid === 0 ? [] : ['--unshare-user', '--uid', `${uid}`, '--gid', `${uid}`];
  const command = [process.execPath, join(checkout, 'scripts', 'setup.js'), ...args];
  return run(['/usr/bin/bwrap', '--dev-bind', '/', '/', ...hidden, ...user, '--', ...command], {
    env: { ...cleanEnv(), DOCKER_HOST: NO_DOCKER, ...env },
  });
}

/** An apt-get that writes down what it is told. */
function fakeAptGet(dir: string, exitCode = 0): { env: Record<string, string>; calls: () => string[] } {
  const log = join(dir, 'apt-get.log');
  const path = join(dir, 'fake');
  mkdirSync(path);
  const script = `#!/bin/sh\necho "$DEBIAN_FRONTEND: $*" >> ${log}\nexit ${exitCode}\n`;
  writeFileSync(join(path, 'apt-get'), script);
  chmodSync(join(path, 'apt-get'), 0o755);
  return {
    env: { PATH: `${path}:${process.env.PATH}` },
    calls: () => readFileSync(log, 'utf8').trim().split('\n'),
  };
}

describe.skipIf(cannotHide)('set-up', () => {
  test('with all there it is silent, and links the command for npx', async () => {
    using dir = new TempDir();
    makeCheckout(dir.path);
    expect(await setUp(dir.path, { without: [] })).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(existsSync(join(dir.path, 'node_modules/.bin/cronium'))).toBe(true);
    expect(await setUp(dir.path, { without: [] })).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  test('with neither Docker nor bubblewrap, and not root: it prints the one command and ends with 1', async () => {
    using dir = new TempDir();
    makeCheckout(dir.path);
    const ended = await setUp(dir.path, { without: ['/usr/bin/bwrap'], uid: ORDINARY_UID });
    expect(ended).toEqual({
      code: 1,
      stdout: '',
      stderr:
        'cronium: Nothing here can isolate functions: no Docker engine answers, and /usr/bin/bwrap is missing.\n' +
        `Run: sudo ${INSTALL}\n`,
    });
  });

  test('where there is no apt-get either, it says what to install', async () => {
    using dir = new TempDir();
    makeCheckout(dir.path);
    const { code, stderr } = await setUp(dir.path, { without: ['/usr/bin/bwrap', APT_GET] });
    expect(code).toBe(1);
    expect(stderr).toContain('\nRun: your package manager, to install bubblewrap, python3 and util-linux;');
  });

  test('as root on Debian it installs what is missing, and looks whether that helped', async () => {
    using dir = new TempDir();
    makeCheckout(dir.path);
    const { env, calls } = fakeAptGet(dir.path);
    const { code, stderr } = await setUp(dir.path, { without: ['/usr/bin/bwrap', '/usr/bin/prlimit'], env });
    expect(calls()).toEqual([
      'noninteractive: update -qq',
      'noninteractive: install -y --no-install-recommends bubblewrap python3 util-linux -qq',
    ]);
    expect(stderr).toContain('because /usr/bin/bwrap, /usr/bin/prlimit is missing\n');
    expect(stderr).toContain(`/usr/bin/bwrap, /usr/bin/prlimit is still missing after: ${INSTALL}\n`);
    expect(code).toBe(1);
  });

  test('where apt-get fails, it says so', async () => {
    using dir = new TempDir();
    makeCheckout(dir.path);
    const { env } = fakeAptGet(dir.path, 100);
    const { code, stderr } = await setUp(dir.path, { without: ['/usr/bin/bwrap'], env });
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining('cronium: apt-get update failed, see above\n'),
    ]);
  });

  test('with Docker a start needs nothing more; tests install bubblewrap, too', async () => {
    using dir = new TempDir();
    makeCheckout(dir.path);
    const socket = join(dir.path, 'docker.sock');
    await using _engine = createServer((_, response) => response.end('OK')).listen(socket);
    const { env, calls } = fakeAptGet(dir.path);
    const machine = { without: ['/usr/bin/bwrap'], env: { ...env, DOCKER_HOST: `unix://${socket}` } };
    expect(await setUp(dir.path, machine)).toEqual({ code: 0, stdout: '', stderr: '' });
    await setUp(dir.path, { ...machine, args: ['--test'] });
    expect(calls()).toHaveLength(2);
    // Who may not install runs the tests on Docker alone.
    expect(await setUp(dir.path, { ...machine, args: ['--test'], uid: ORDINARY_UID })).toMatchObject({
      code: 0,
    });
  });

  test('an engine at an address counts, by TLS too, which is the gateway’s business', async () => {
    using dir = new TempDir();
    makeCheckout(dir.path);
    const server = createServer(() => {}).listen(0, '127.0.0.1');
    // Speaks TLS: whoever asks it in the clear has no answer.
    server.on('connection', (socket) => socket.end(Buffer.from([21, 3, 1, 0, 2, 2, 40])));
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const env = { DOCKER_HOST: `tcp://127.0.0.1:${port}`, DOCKER_TLS_VERIFY: '1' };
    const machine = { without: ['/usr/bin/bwrap'], uid: ORDINARY_UID };
    expect(await setUp(dir.path, { ...machine, env })).toEqual({ code: 0, stdout: '', stderr: '' });
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
    expect(await setUp(dir.path, { ...machine, env })).toMatchObject({ code: 1 });
  });
});
