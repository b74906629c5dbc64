import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findEngine } from '../engines.ts';
import { cronium, type Ended, leftOf, machinePath, Process, ROOT, run, TempDir } from './processes.ts';

const INSTALL_TIMEOUT_MS = 240_000;
const engines = await Promise.all([findEngine('bubblewrap'), findEngine('docker')]);
const path = machinePath();

async function reasonToSkip(): Promise<string | undefined> {
  if (engines.every(({ unavailable }) => unavailable)) return 'nothing isolates here';
  if (!existsSync(join(ROOT, '.git'))) return 'this is no clone';
  for (const tool of ['git', 'npm', 'curl']) {
    const { code } = await run(['sh', '-c', `command -v ${tool}`], { env: { PATH: path } });
    if (code !== 0) return `this machine has no ${tool}`;
  }
  const ping = ['npm', 'ping', '--fetch-retries=0', '--fetch-timeout=5000'];
  const { code } = await run(ping, { env: { PATH: path, HOME: process.env.HOME! } });
  return code === 0 ? undefined : 'the npm registry cannot be reached';
}

const reason = await reasonToSkip();
if (reason) console.warn(`skipped: a fresh clone: ${reason}`);

describe.skipIf(reason)('a fresh clone, with the Node.js of the machine', () => {
  const dir = new TempDir();
  const clone = join(dir.path, 'clone');
  const dataDir = join(dir.path, 'data');
  // A clean environment but for npm's cache, which spares the registry.
  const env = {
    PATH: path,
    HOME: process.env.HOME!,
    PORT: '0',
    DATA_DIR: dataDir,
    npm_config_prefer_offline: 'true',
  };

  beforeAll(async () => {
    const { code, stderr } = await run(['git', 'clone', '--quiet', ROOT, clone]);
    expect([code, stderr]).toEqual([0, '']);
  });

  afterAll(() => dir[Symbol.dispose]());

  /** From `npm start` to the first answer to a printed line. */
  async function start(): Promise<Process> {
    const npm = new Process(['npm', 'start'], { env, cwd: clone });
    await npm.until('banner', () => npm.stdout.includes("/e/hello-bash'"), INSTALL_TIMEOUT_MS);
    const line = npm.stdout.split('\n').find((text) => text.includes('hello-python'))!;
    const { code, stdout } = await run(['sh', '-c', line], { env: { PATH: path } });
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(/^HTTP\/1\.1 200 OK\r\n[\s\S]*Hello, Ada, from Python!/),
    ]);
    return npm;
  }

  async function stop(npm: Process): Promise<Ended> {
    npm.signal('SIGTERM');
    const ended = await npm.ended;
    // npm's own exit code tells of the signal; the gateway is gone with all it had.
    expect(await leftOf(dataDir)).toEqual([]);
    await expect(
      cronium(['serve'], { DATA_DIR: dataDir, ISOLATION_MODE: 'docker', DOCKER_HOST: 'unix:///nowhere' }),
    ).resolves.toMatchObject({
      stderr: expect.stringContaining('Nothing on this host can isolate functions'),
    });
    return ended;
  }

  test(
    'npm start sets up, serves, and stops with SIGTERM',
    async () => {
      await using npm = await start();
      expect(npm.stderr).toContain('cronium: installing dependencies');
      await stop(npm);
    },
    INSTALL_TIMEOUT_MS + 60_000,
  );

  test('the second start has nothing to set up', async () => {
    await using npm = await start();
    expect(npm.stderr).not.toContain('installing');
    await stop(npm);
  });

  test('npx cronium and npm run -s token work in it', async () => {
    const help = await run(['npx', 'cronium', '--help'], {
      env: { ...env, npm_config_offline: 'true' },
      cwd: clone,
    });
    expect(help).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Usage: cronium /) });
    const token = await run(['npm', 'run', '-s', 'token', '--', '--sub', 'alice'], { env, cwd: clone });
    expect(token).toMatchObject({ code: 0, stdout: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+\n$/) });
  });
});
