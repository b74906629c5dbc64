import { describe, expect, test } from 'vitest';
import { engineConfig, findEngine } from '../engines.ts';
import { BaseImage } from './base-image.ts';
import { Caller } from './calls.ts';
import { CLI, cleanEnv, cronium, type Ended, GatewayProcess, leftOf, run, TempDir } from './processes.ts';

const docker = await findEngine('docker');
const gvisor = await findEngine('docker+runsc');
const podman = await findEngine('podman');
const bubblewrap = await findEngine('bubblewrap');
for (const { name, unavailable } of [docker, gvisor, podman, bubblewrap]) {
  if (unavailable) console.warn(`skipped: choosing ${name}: ${unavailable}`);
}
const NO_DOCKER = 'unix:///nowhere/docker.sock';
const NO_PODMAN = 'unix:///nowhere/podman.sock';
const NO_IMAGE = 'does-not-exist/python:none';

async function isolationOf(env: Record<string, string>): Promise<{ isolation: string; log: string }> {
  using dir = new TempDir();
  await using gateway = new GatewayProcess({ dataDir: dir.path, env });
  const url = await gateway.warm();
  const caller = await Caller.of(url, dir.path);
  await caller.deploy('hello', 'echo hello');
  const response = await caller.fetch('/e/hello');
  expect(await response.text()).toBe('hello\n');
  gateway.signal('SIGTERM');
  expect((await gateway.ended).code).toBe(0);
  expect(await leftOf(dir.path)).toEqual([]);
  return { isolation: response.headers.get('x-cronium-isolation')!, log: gateway.stderr };
}

async function refused(env: Record<string, string>): Promise<string> {
  using dir = new TempDir();
  const ended = await cronium(['serve'], { DATA_DIR: dir.path, PORT: '0', ...env });
  expect(ended.code).toBe(1);
  return ended.stderr;
}

/** The command where /usr/bin/bwrap is no program. */
function withoutBubblewrap(command: readonly string[], env: Record<string, string>): Promise<Ended> {
  const hidden = ['--dev-bind', '/', '/', '--ro-bind', '/dev/null', '/usr/bin/bwrap'];
  return run(['/usr/bin/bwrap', ...hidden, '--', ...command], { env: { ...cleanEnv(), ...env } });
}

describe('ISOLATION_MODE', () => {
  test('docker, but no daemon: refuses, and says why and what to do', async () => {
    const stderr = await refused({ ISOLATION_MODE: 'docker', DOCKER_HOST: NO_DOCKER });
    expect(stderr).toMatch(/^cronium: Nothing on this host can isolate functions/);
    expect(stderr).toMatch(
      /docker: .*ENOENT.*docker\.sock\n {4}Start a Docker engine, or name one by DOCKER_HOST/,
    );
    expect(stderr).not.toContain('bubblewrap:');
  });

  test.skipIf(docker.unavailable)(
    'docker, but the base image is not to be had: refuses, naming it',
    async () => {
      const stderr = await refused({ ISOLATION_MODE: 'docker', PYTHON_BASE_IMAGE: NO_IMAGE });
      expect(stderr).toContain(`Is ${NO_IMAGE} to be had? PYTHON_BASE_IMAGE names another base image.`);
      expect(stderr).not.toMatch(/^\s+at .*:\d+/m);
    },
  );

  test('podman, but no service: refuses, and says why and what to do', async () => {
    const stderr = await refused({ ISOLATION_MODE: 'podman', PODMAN_HOST: NO_PODMAN });
    expect(stderr).toMatch(/podman: .*ENOENT.*podman\.sock\n {4}Start Podman's service .*PODMAN_HOST/);
    expect(stderr).not.toContain('docker:');
  });

  test.skipIf(docker.unavailable)('podman, but it is Docker that answers: refuses', async () => {
    const stderr = await refused({ ISOLATION_MODE: 'podman', PODMAN_HOST: process.env.DOCKER_HOST! });
    expect(stderr).toContain('podman: the engine that answers is not Podman');
  });

  test.skipIf(bubblewrap.unavailable)(
    'auto without Docker and Podman takes bubblewrap, and logs why',
    async () => {
      const { isolation, log } = await isolationOf({ DOCKER_HOST: NO_DOCKER, PODMAN_HOST: NO_PODMAN });
      expect(isolation).toBe('bubblewrap');
      for (const name of ['docker', 'podman'])
        expect(log).toMatch(new RegExp(`${name} is stronger and cannot be used here: .*ENOENT`));
    },
  );

  test.skipIf(podman.unavailable)('auto without Docker takes Podman, and logs why', async () => {
    const { isolation, log } = await isolationOf({ DOCKER_HOST: NO_DOCKER });
    expect(isolation).toMatch(/^podman\+/);
    expect(log).toMatch(/docker is stronger and cannot be used here: .*ENOENT/);
  });

  test.skipIf(podman.unavailable)("Podman at Docker's place is taken for what it is", async () => {
    const podmanAsDocker = { ISOLATION_MODE: 'docker', DOCKER_HOST: process.env.PODMAN_HOST! };
    expect((await isolationOf(podmanAsDocker)).isolation).toMatch(/^podman\+/);
  });

  test.skipIf(docker.unavailable ?? bubblewrap.unavailable)(
    'auto with a Docker that lacks the images takes bubblewrap, and logs why',
    async () => {
      const { isolation, log } = await isolationOf({ PYTHON_BASE_IMAGE: NO_IMAGE, PODMAN_HOST: NO_PODMAN });
      expect(isolation).toBe('bubblewrap');
      expect(log).toContain(`Is ${NO_IMAGE} to be had?`);
    },
  );

  test.skipIf(docker.unavailable)(
    'auto with a Docker that has the images takes the strongest of it',
    async () => {
      const { isolation } = await isolationOf({});
      expect(isolation).toBe(gvisor.unavailable ? 'docker+runc' : 'docker+runsc');
    },
  );

  test.skipIf(docker.unavailable)('RUNTIME=runc takes runc where there is gVisor, too', async () => {
    expect((await isolationOf({ RUNTIME: 'runc' })).isolation).toBe('docker+runc');
  });

  test.skipIf(docker.unavailable)('RUNTIME names one that the engine does not have: refuses', async () => {
    const stderr = await refused({ RUNTIME: 'kata', PODMAN_HOST: NO_PODMAN });
    expect(stderr).toMatch(
      /docker\+kata: the engine has no runtime named kata\n {4}RUNTIME names one of: .*runc/,
    );
    expect(stderr).toMatch(
      /bubblewrap: it has no OCI runtimes, and RUNTIME=kata asks for one\n {4}Set RUNTIME=auto/,
    );
  });

  test.skipIf(bubblewrap.unavailable)('neither: refuses with both reasons and remedies', async () => {
    using dir = new TempDir();
    const env = { DATA_DIR: dir.path, PORT: '0', DOCKER_HOST: NO_DOCKER, PODMAN_HOST: NO_PODMAN };
    const { code, stderr } = await withoutBubblewrap([process.execPath, CLI, 'serve'], env);
    expect(code).toBe(1);
    expect(stderr).toMatch(/docker: .*\n {4}Start a Docker engine/);
    expect(stderr).toMatch(
      /bubblewrap: \/usr\/bin\/bwrap is missing\n {4}On Debian or Ubuntu: apt-get install/,
    );
    expect(await leftOf(dir.path)).toEqual([]);
  });

  test.skipIf(docker.unavailable)(
    'SIGTERM while images are built gives the build up and leaves nothing',
    async () => {
      using dir = new TempDir();
      await using base = await BaseImage.copyOf(engineConfig().PYTHON_BASE_IMAGE);
      const env = { PYTHON_BASE_IMAGE: base.name };
      await using gateway = new GatewayProcess({ dataDir: dir.path, mode: 'docker', env });
      await gateway.until('a build step', () => gateway.stderr.includes('Step 2/'));
      gateway.signal('SIGTERM');
      const { code, stderr } = await gateway.ended;
      expect(code).toBe(0);
      expect(stderr).not.toContain('"msg":"serving"');
      expect(await leftOf(dir.path)).toEqual([]);
      expect(await base.containers()).toEqual([]);
    },
  );
});
