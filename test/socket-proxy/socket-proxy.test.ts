import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SecurityLevel } from '../../src/core/isolation.ts';
import { baseImages, RUNTIMES_DIR } from '../../src/engine-config.ts';
import { messageOf } from '../../src/errors.ts';
import { AgentBackend } from '../../src/sandbox/backend.ts';
import { OWN_PROFILE } from '../../src/sandbox/confinement.ts';
import { DockerLauncher } from '../../src/sandbox/docker.ts';
import { containerOptions, OWNER_LABEL } from '../../src/sandbox/hardening.ts';
import { readContext, recipeOf } from '../../src/sandbox/image-recipe.ts';
import { ociProfileText } from '../../src/sandbox/seccomp/oci.ts';
import { seccompProfile } from '../../src/sandbox/seccomp/profile.ts';
import { ENGINE_CALLS } from '../../src/socket-proxy/calls.ts';
import { ownImages } from '../../src/socket-proxy/own-images.ts';
import { SocketProxy } from '../../src/socket-proxy/server.ts';
import { answerOf, callOf, runIn, smallSpec } from '../contract/calls.ts';
import { never } from '../core/fakes.ts';
import { ROOT } from '../e2e/processes.ts';
import { engineConfig, engineOptions, newInstanceId } from '../engines.ts';
import { onEngine } from '../on-engine.ts';

/** Runs out of memory and ends its agent, which cannot tell of it any more: then only the engine knows why. */
const HOG = `import os, signal, subprocess, sys, time
def handler(event, context):
    subprocess.run([sys.executable, "-c", "len(b'x' * 10**9)"])
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) not in (1, os.getpid()):
            os.kill(int(pid), signal.SIGKILL)
    time.sleep(10)`;
const TIMEOUT_MS = 120_000;

const guide = await readFile(join(ROOT, 'docs/socket-proxy.md'), 'utf8');

test('the guide lists the calls as they are', () => {
  const [, shown] = /<!-- calls: .* -->\n([\s\S]*?)<!-- end of calls -->/.exec(guide)!;
  const rows = ENGINE_CALLS.map(({ method, path, query, for: why }) => {
    const parameters = query.map((name) => `\`${name}\``).join(', ');
    return `| \`${method} ${path}\` | ${parameters}${parameters && ' '}| ${why} |\n`;
  });
  expect(shown).toBe(`| call | parameters | for |\n| --- | --- | --- |\n${rows.join('')}`);
});

await onEngine('docker', () => {
  const engineSocket = new URL(engineConfig().DOCKER_HOST!).pathname;
  const docker = new Docker();
  let dir: string;
  let runtimesDir: string;
  /** Of the Python sandboxes of these tests alone, which no one else uses. */
  let tag: string;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cronium-proxy-'));
    runtimesDir = join(dir, 'runtimes');
    await cp(RUNTIMES_DIR, runtimesDir, { recursive: true });
    await writeFile(join(runtimesDir, 'python', 'unique'), newInstanceId());
    tag = recipeOf('python', await readContext(runtimesDir), baseImages(engineConfig()).python).tag;
  });
  afterAll(async () => {
    await docker.getImage(tag).remove({ force: true });
    await rm(dir, { recursive: true });
  });

  async function listen(without?: (typeof ENGINE_CALLS)[number]) {
    const denied: string[] = [];
    const path = join(dir, `${newInstanceId()}.sock`);
    const proxy = await SocketProxy.listen({
      listen: path,
      engine: engineSocket,
      images: await ownImages(runtimesDir, baseImages(engineConfig())),
      calls: ENGINE_CALLS.filter((call) => call !== without),
      onDenied: (reason) => denied.push(reason),
    });
    return { proxy, denied, path };
  }

  const labelled = (instanceId: string) =>
    docker.listContainers({ all: true, filters: { label: [`${OWNER_LABEL}=${instanceId}`] } });

  /** Everything that a gateway does with an engine; what came of it. */
  async function liveThrough(path: string) {
    const instanceId = newInstanceId();
    const options = { ...engineOptions(instanceId).docker, runtimesDir, host: `unix://${path}` };
    const engineErrors: string[] = [];
    const onEngineError = (error: unknown) => engineErrors.push(messageOf(error));
    const launcher = await DockerLauncher.connect({ ...options, onEngineError }, { name: 'runc' });
    const backend = new AgentBackend(launcher);
    try {
      await launcher.prepare(['python']);
      const sandbox = await backend.create(smallSpec('python'), never);
      const answer = answerOf(await runIn(sandbox, callOf('def handler(e, c): return 42')));
      await sandbox.destroy();
      const hungry = await backend.create(smallSpec('python'), never);
      const outcome = await runIn(hungry, callOf(HOG));
      await hungry.destroy();
      const left = await labelled(instanceId);
      const forgotten = await backend.create(smallSpec('python'), never);
      const swept = await backend.sweep();
      await forgotten.destroy();
      return { answer, hog: outcome.outcome, left: left.length, swept, engineErrors };
    } finally {
      await backend.close();
      for (const { Id } of await labelled(instanceId)) await docker.getContainer(Id).remove({ force: true });
    }
  }

  const ALL_WELL = {
    answer: 42,
    hog: { status: 'failed', failure: { code: 'out_of_memory' } },
    left: 0,
    swept: 1,
    engineErrors: [],
  };

  test('a gateway lives with the calls of the list, image builds among them', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const { proxy, denied, path } = await listen();
    await using _ = proxy;
    expect(await liveThrough(path)).toMatchObject(ALL_WELL);
    expect(denied).toEqual([]);
  });

  test.each(ENGINE_CALLS)('and not without $method $path', { timeout: TIMEOUT_MS }, async (call) => {
    if (call.path === '/build') await docker.getImage(tag).remove({ force: true });
    const { proxy, denied, path } = await listen(call);
    await using _ = proxy;
    const lived = await liveThrough(path).catch((error: unknown) => ({ failed: messageOf(error) }));
    expect(lived).not.toMatchObject(ALL_WELL);
    // For that and for no other reason.
    expect(new Set(denied.map((reason) => reason.replace(/ \/\S+/, '')))).toEqual(
      new Set([`${call.method} is not one of the gateway's calls`]),
    );
  });

  describe('whoever has the proxy’s socket', () => {
    let path: string;
    let close: () => Promise<void>;
    let image: string;
    let foreign: Docker.Container;

    beforeAll(async () => {
      const opened = await listen();
      path = opened.path;
      close = () => opened.proxy[Symbol.asyncDispose]();
      const options = { ...engineOptions(newInstanceId()).docker, runtimesDir, host: `unix://${path}` };
      const launcher = await DockerLauncher.connect(options, { name: 'runc' });
      await launcher.prepare(['python']);
      await launcher.close();
      image = (await docker.getImage(tag).inspect()).Id;
      foreign = await docker.createContainer({ Image: image, HostConfig: { NetworkMode: 'none' } });
    }, TIMEOUT_MS);
    afterAll(async () => {
      await foreign?.remove({ force: true });
      await close?.();
    });

    async function ask(method: string, target: string, body?: unknown, headers: Record<string, string> = {}) {
      const sent = request({ socketPath: path, method, path: target, headers, agent: false });
      sent.end(body === undefined || body instanceof Buffer ? body : JSON.stringify(body));
      const response = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
        sent.on('response', resolve).on('error', reject);
        sent.on('upgrade', () => reject(new Error('upgraded')));
      });
      return { status: response.statusCode, message: await text(response) };
    }

    const sandbox = (level: SecurityLevel = 'basic', appArmor?: string) => {
      const instanceId = newInstanceId();
      const plan = { image, name: 'unused', spec: smallSpec('python'), uid: 50_000 };
      const seccomp = level === 'basic' ? undefined : ociProfileText(seccompProfile(level));
      const { name: _, ...body } = containerOptions({
        ...plan,
        instanceId,
        limitsEnabled: true,
        engineCpus: 2,
        level,
        seccomp,
        appArmor,
      });
      return body;
    };

    const HOST: [string, Record<string, unknown>][] = [
      ['a mount of the host', { Binds: ['/:/host'] }],
      ['a mount by the newer name', { Mounts: [{ Type: 'bind', Source: '/', Target: '/host' }] }],
      ['all privileges', { Privileged: true }],
      ['a capability', { CapAdd: ['SYS_ADMIN'] }],
      ['the capabilities of every container', { CapDrop: [] }],
      ['a device', { Devices: [{ PathOnHost: '/dev/sda', PathInContainer: '/dev/sda' }] }],
      ['the host’s network', { NetworkMode: 'host' }],
      ['another container’s network', { NetworkMode: 'container:postgres' }],
      ['the host’s processes', { PidMode: 'host' }],
      ['the host’s users', { UsernsMode: 'host' }],
      ['the host’s memory segments', { IpcMode: 'host' }],
      ['volumes of another container', { VolumesFrom: ['postgres'] }],
      ['no seccomp filter', { SecurityOpt: ['no-new-privileges', 'seccomp=unconfined'] }],
      [
        'a seccomp filter of its own',
        { SecurityOpt: ['no-new-privileges', 'seccomp={"defaultAction":"SCMP_ACT_ALLOW"}'] },
      ],
      ['no AppArmor profile', { SecurityOpt: ['no-new-privileges', 'apparmor=unconfined'] }],
      ['another AppArmor profile', { SecurityOpt: ['no-new-privileges', 'apparmor=docker-default'] }],
      ['new privileges', { SecurityOpt: [] }],
      ['nothing masked', { MaskedPaths: [] }],
      ['a writable root', { ReadonlyRootfs: false }],
      ['a control group of others', { CgroupParent: '/' }],
      [
        'a log driver that calls out',
        { LogConfig: { Type: 'syslog', Config: { 'syslog-address': 'tcp://x' } } },
      ],
      ['a runtime by its path', { Runtime: '/tmp/evil' }],
      ['memory in place of the host’s', { Tmpfs: { '/': 'rw' } }],
    ];
    test.each(['basic', 'enhanced', 'paranoid'] as const)('creates a container of %s', async (level) => {
      const body = sandbox(level, OWN_PROFILE);
      const { status, message } = await ask('POST', '/containers/create?name=cronium-level', body);
      expect([status, message]).toEqual([201, expect.stringContaining('Id')]);
      await docker.getContainer('cronium-level').remove({ force: true });
    });

    test.each(HOST)('creates no container with %s', async (_, changes) => {
      const body = sandbox();
      const changed = { ...body, HostConfig: { ...body.HostConfig, ...changes } };
      const { status, message } = await ask('POST', '/containers/create?name=cronium-x', changed);
      expect([status, message]).toEqual([403, expect.stringContaining('HostConfig')]);
    });

    test.each<[string, Record<string, unknown>]>([
      ['root as its user', { User: '0:0' }],
      ['a user by name', { User: 'root' }],
      ['an image by name', { Image: 'cronium-runtime-python' }],
      ['an image that is not a sandbox’s', { Image: `sha256:${'0'.repeat(64)}` }],
      ['a command of its own', { Entrypoint: ['sh'] }],
      ['a network', { NetworkDisabled: false }],
      ['a network to connect to', { NetworkingConfig: { EndpointsConfig: { host: {} } } }],
      ['labels of another', { Labels: { 'com.docker.compose.project': 'x' } }],
      ['a name that is not a sandbox’s', { name: 'postgres' }],
    ])('creates no container with %s', async (_, { name = 'cronium-x', ...changes }) => {
      const target = `/containers/create?name=${name}`;
      expect((await ask('POST', target, { ...sandbox(), ...changes })).status).toBe(403);
    });

    test('creates a sandbox, which is what the other tests change', async () => {
      const { status, message } = await ask(
        'POST',
        `/containers/create?name=cronium-${newInstanceId()}`,
        sandbox(),
      );
      expect([status, message]).toEqual([201, expect.stringContaining('Id')]);
      expect((await ask('DELETE', `/containers/${JSON.parse(message).Id}`)).status).toBe(204);
    });

    test('builds no image but the sandboxes’, and those from nothing else', async () => {
      const files = await readContext(runtimesDir);
      const {
        tag: t,
        dockerfile,
        buildargs,
        labels,
      } = recipeOf('python', files, baseImages(engineConfig()).python);
      const query = {
        t,
        dockerfile,
        buildargs: JSON.stringify(buildargs),
        labels: JSON.stringify(labels),
        rm: 'true',
        forcerm: 'true',
      };
      const build = (changes: Record<string, string>) =>
        ask(
          'POST',
          `/build?${new URLSearchParams({ ...query, ...changes })}`,
          Buffer.from('another context'),
        );
      expect((await build({})).message).toContain('the build context is not that of this version');
      expect((await build({ networkmode: 'host' })).message).toContain('networkmode');
      expect((await build({ remote: 'http://evil/' })).message).toContain('remote');
      expect((await build({ t: 'postgres' })).message).toContain('postgres is not an image');
      expect((await build({ buildargs: '{"BASE":"evil"}' })).message).toContain('buildargs must be');
    });

    test('has no other container', async () => {
      const { id } = foreign;
      for (const [method, target] of [
        ['GET', `/containers/${id}/json`],
        ['POST', `/containers/${id}/start`],
        ['DELETE', `/containers/${id}?force=true`],
        ['POST', `/containers/${id}/attach?stream=true`],
      ] as const) {
        expect((await ask(method, target)).message).toContain("is not a gateway's");
      }
      const upgrade = { connection: 'Upgrade', upgrade: 'tcp' };
      expect((await ask('POST', `/containers/${id}/attach?stream=true`, undefined, upgrade)).status).toBe(
        403,
      );
      expect((await ask('GET', '/info', undefined, upgrade)).status).toBe(403);
      expect((await ask('GET', '/containers/json?all=true')).status).toBe(403);
      const everybody = encodeURIComponent('{"label":["cronium.instance"]}');
      expect((await ask('GET', `/containers/json?all=true&filters=${everybody}`)).status).toBe(403);
      expect((await foreign.inspect()).State.Status).toBe('created');
    });

    test.each([
      ['GET', '/v1.41/info'],
      ['GET', '/containers/x/logs'],
      ['POST', '/containers/x/exec'],
      ['GET', '/containers/x/archive?path=/'],
      ['POST', '/containers/x/../create'],
      ['POST', '/containers/%2e%2e/create'],
      ['GET', '/images/json'],
      ['GET', '/images/x/get'],
      ['POST', '/images/create?fromImage=x'],
      ['POST', '/volumes/create'],
      ['GET', '/secrets'],
      ['PUT', '/containers/json'],
      ['GET', '/info?x=1'],
      ['GET', '/info?'.padEnd(7, '?')],
      ['GET', '//info'],
      ['GET', 'http://docker/info'],
      ['DELETE', '/containers/x?force=true&force=true'],
    ])('has no %s %s', async (method, target) => {
      expect((await ask(method, target)).status).toBe(403);
    });
  });
});
