import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../e2e/processes.ts';
import { eventuallyNone } from '../traces.ts';
import { podmanVariant } from './podman.ts';
import { findCompose, Stack } from './stack.ts';

const BUILD_TIMEOUT_MS = 240_000;
const TEST_TIMEOUT_MS = 120_000;
/** A group that no socket belongs to. */
const STRANGER_GID = '54321';

const guide = readFileSync(join(ROOT, 'docs/compose.md'), 'utf8');
const proxyGuide = readFileSync(join(ROOT, 'docs/socket-proxy.md'), 'utf8');

/** The shell commands under a heading of the guide, block by block. */
function commandsUnder(heading: string): string[] {
  const section = guide.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0];
  if (section === undefined) throw new Error(`docs/compose.md has no heading: ${heading}`);
  return [...section.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1]!);
}

const { command, unavailable } = await findCompose();
if (unavailable !== undefined) {
  if (process.env.CI) throw new Error(`the stack cannot be tested here: ${unavailable}`);
  console.warn(`skipped: docker-compose.yaml: ${unavailable}`);
}

describe.skipIf(unavailable)('the stack of docker-compose.yaml', { timeout: TEST_TIMEOUT_MS }, () => {
  let stack: Stack;
  let token: string;
  let instanceId: string;
  const [up, findGroup, printToken, deployAndCall] = commandsUnder('Start');
  const [down, downWithVolumes] = commandsUnder('Stop and remove');

  beforeAll(async () => {
    stack = await Stack.create(command);
    const { code, stdout, stderr } = await stack.try('docker compose build gateway');
    if (code === 0) return;
    // The image that CI builds on has the packages of the lock as it was then.
    const stale = stdout.includes('ENOTCACHED') ? '\nRun this again: .ci/engines up' : '';
    throw new Error(`the image cannot be built:\n${stdout}\n${stderr}${stale}`);
  }, BUILD_TIMEOUT_MS);

  afterAll(async () => {
    await stack?.[Symbol.asyncDispose]();
  }, TEST_TIMEOUT_MS);

  const api = async (path: string, init: RequestInit = {}) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    return fetch(`${stack.url}${path}`, { ...init, headers });
  };

  /** Calls the deployed function, once the gateway is there and something is warm for it. */
  async function call(): Promise<void> {
    await expect.poll(async () => (await fetch(`${stack.url}/readyz`)).status, { timeout: 60_000 }).toBe(200);
    const response = await api('/e/double', { method: 'POST', body: '21' });
    expect([response.status, await response.text()]).toEqual([200, '42']);
    expect(response.headers.get('x-cronium-start')).toBe('warm');
    expect(response.headers.get('x-cronium-isolation')).toMatch(/^docker\+/);
  }

  /** The ids of the invocations of the deployed function that the gateway lists. */
  async function invocations(): Promise<string[]> {
    const response = await api('/v1/events/double/invocations');
    const { items } = (await response.json()) as { items: { id: string }[] };
    return items.map(({ id }) => id);
  }

  async function invocationsOfAtLeast(count: number): Promise<string[]> {
    await expect.poll(async () => (await invocations()).length).toBeGreaterThanOrEqual(count);
    return invocations();
  }

  test('is understood by Compose without .env, and with the example as one', async () => {
    expect(existsSync(join(stack.dir, '.env'))).toBe(false);
    const without = await stack.paste('docker compose config');
    const withExample = await stack.paste(
      'cp .env.example .env && docker compose config | tee with && rm .env with',
    );
    expect(withExample).toBe(without);
  });

  test('gives the gateway JSON of .env as the guide writes it', async () => {
    const written = /`(TIERS='.*')`/.exec(guide)![1]!;
    const read = await stack.paste(
      `echo "${written.replaceAll('"', '\\"')}" > .env && docker compose run --rm --no-deps -T gateway printenv TIERS`,
    );
    stack.unset();
    expect(JSON.parse(read)).toEqual({ default: { concurrency: 2 } });
  });

  test('says what to set when the socket belongs to a group that it is not in', async () => {
    stack.set('DOCKER_GID', STRANGER_GID);
    await stack.paste(up!);
    const log = await stack.logged('gateway', 'EACCES');
    const [, remedy] = /(echo DOCKER_GID=\d+ >> \.env)/.exec(log)!;
    const [, look] = /(docker compose run .*)/.exec(log)!;
    expect(remedy).toBe(`echo DOCKER_GID=${(await stack.paste(look!)).trim()} >> .env`);
    // As it says it.
    await stack.paste(`${remedy}\ndocker compose up -d`);
    await stack.logged('gateway', '"serving"');
    await stack.paste(downWithVolumes!);
    expect(await stack.left()).toEqual([]);
    stack.unset();
  });

  test('comes up by the commands of the guide', async () => {
    await stack.paste(up!);
    await stack.paste(findGroup!);
    await stack.healthy();
    instanceId = await stack.instanceId();
    // A terminal, as the reader has one; it shows the end of its input too.
    const printed = await stack.paste(`script -qec '${printToken!.trim()}' /dev/null`);
    token = /(?:\w[\w-]*\.){2}[\w-]+\r?\n$/.exec(printed)![0].trim();
    expect((await stack.paste(deployAndCall!)).trim()).toMatch(/"name":"double"[\s\S]*42$/);
    await call();
    expect((await invocationsOfAtLeast(2)).length).toBe(2);
  });

  test('runs without any right that it does not need', async () => {
    for (const service of ['gateway', 'postgres']) {
      const { HostConfig, Config } = await stack.container(service);
      expect(HostConfig).toMatchObject({
        ReadonlyRootfs: true,
        Privileged: false,
        CapDrop: ['ALL'],
        SecurityOpt: expect.arrayContaining(['no-new-privileges:true']),
        RestartPolicy: { Name: 'unless-stopped' },
      });
      expect(HostConfig.CapAdd ?? []).toEqual([]);
      expect(Config.User).toMatch(service === 'gateway' ? /^10001:10001$/ : /^postgres$/);
    }
    const ids = await stack.paste(
      'docker compose exec -T gateway id -u; docker compose exec -T postgres id -u',
    );
    expect(
      ids
        .trim()
        .split('\n')
        .map(Number)
        .filter((id) => id === 0),
    ).toEqual([]);
    const write = await stack.try('docker compose exec -T gateway touch /app/written');
    expect([write.code, write.stderr]).toEqual([1, expect.stringContaining('Read-only file system')]);
  });

  test('lets nobody reach Postgres by a network, and has no password for it', async () => {
    const { HostConfig, NetworkSettings } = await stack.container('postgres');
    expect(HostConfig.NetworkMode).toBe('none');
    expect(Object.values(NetworkSettings.Ports ?? {}).filter(Boolean)).toEqual([]);
    const shown = await stack.paste(
      'docker compose exec -T postgres psql --username=cronium --tuples-only --no-align --command="show listen_addresses"',
    );
    expect(shown.trim()).toBe('');
    const rules = await stack.paste(
      'docker compose exec -T postgres cat /var/lib/postgresql/data/pg_hba.conf',
    );
    expect(rules.match(/^host.*trust/m)).toBeNull();
  });

  test('starts from code that was compiled when the image was built', async () => {
    const said = await stack.paste(
      'docker compose run --rm --no-deps -T -e NODE_DEBUG_NATIVE=COMPILE_CACHE -e DATA_DIR=/tmp/none -e DOCKER_HOST=unix:///nowhere ' +
        'gateway node --max-semi-space-size=2 bin/cronium serve 2>&1 || true',
    );
    expect(said.match(/was accepted/g)?.length ?? 0).toBeGreaterThan(100);
    expect(said.match(/ was rejected/g)).toBeNull();
  });

  test('has everything after a restart of the gateway', async () => {
    const before = await invocationsOfAtLeast(2);
    const [restart] = commandsUnder('What runs');
    const said = await stack.paste(restart!);
    expect(said).toContain('"serving"');
    await call();
    expect(await invocationsOfAtLeast(before.length + 1)).toEqual(expect.arrayContaining(before));
  });

  test(
    'has everything after an upgrade',
    async () => {
      const before = await invocations();
      const { Image } = await stack.container('gateway');
      appendFileSync(join(stack.dir, 'src/cli/main.ts'), '// another version\n');
      const [upgrade] = commandsUnder('Upgrade');
      await stack.paste(upgrade!);
      expect((await stack.container('gateway')).Image).not.toBe(Image);
      await call();
      expect(await invocationsOfAtLeast(before.length + 1)).toEqual(expect.arrayContaining(before));
    },
    BUILD_TIMEOUT_MS,
  );

  test('works the same without the Docker socket, through the proxy that alone has it', async () => {
    const before = await invocations();
    const [, upThroughProxy] = /```sh\n(docker compose -f .*\n)```/.exec(proxyGuide)!;
    await stack.paste(upThroughProxy!);
    await call();
    expect(await invocationsOfAtLeast(before.length + 1)).toEqual(expect.arrayContaining(before));
    const socketsOf = async (service: string) =>
      (await stack.container(service)).Mounts.filter(({ Type }) => Type === 'bind').map(
        ({ Source }) => Source,
      );
    expect(await socketsOf('gateway')).toEqual([]);
    expect(await socketsOf('socket-proxy')).toEqual([stack.env.DOCKER_SOCKET]);
    const { HostConfig, Config } = await stack.container('socket-proxy');
    expect(HostConfig).toMatchObject({ ReadonlyRootfs: true, CapDrop: ['ALL'], NetworkMode: 'none' });
    expect(Config.User).toBe('10001:10001');
    expect(await stack.log('socket-proxy')).not.toContain('denied');
    await stack.paste(`${up!.trim()} --remove-orphans`);
    await call();
    // Of what only the variant has nothing knows any more.
    await stack.docker.getVolume(`${stack.name}_engine`).remove();
  });

  test('has everything after down and up, and leaves no sandbox while it is down', async () => {
    const before = await invocations();
    const volumes = await stack.volumes();
    await stack.paste(down!);
    expect(await eventuallyNone(() => stack.sandboxes(instanceId))).toEqual([]);
    expect(await stack.containers()).toEqual([]);
    expect(await stack.volumes()).toEqual(volumes);
    await stack.paste(up!);
    await call();
    expect(await stack.instanceId()).toBe(instanceId);
    expect(await invocationsOfAtLeast(before.length + 1)).toEqual(expect.arrayContaining(before));
  });

  test('comes back from its backup when all was lost, with tokens that go on holding', async () => {
    const before = await invocations();
    const [backup, restore] = commandsUnder('Backup');
    await stack.paste(backup!);
    await stack.paste(downWithVolumes!);
    expect(await stack.left()).toEqual([]);
    expect(await eventuallyNone(() => stack.sandboxes(instanceId))).toEqual([]);
    await stack.paste(restore!);
    await call();
    expect(await stack.instanceId()).toBe(instanceId);
    expect(await invocationsOfAtLeast(before.length + 1)).toEqual(expect.arrayContaining(before));
  });

  test('is gone with all it had after down -v', async () => {
    expect(await stack.sandboxes(instanceId)).not.toEqual([]);
    await stack.paste(downWithVolumes!);
    expect(await stack.left()).toEqual([]);
    expect(await eventuallyNone(() => stack.sandboxes(instanceId))).toEqual([]);
  });

  podmanVariant(() => stack);
});
