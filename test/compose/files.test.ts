import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { settings } from '../../src/config/settings.ts';
import { parseConfig } from '../../src/config.ts';
import { ROOT, run, TempDir } from '../e2e/processes.ts';

const read = (name: string) => readFileSync(join(ROOT, name), 'utf8');
const compose = read('docker-compose.yaml');
const example = read('.env.example');
const dockerfile = read('Dockerfile');

/** What the stack decides: where the gateway listens, keeps its data and finds its parts. A file of the host has no way in. */
const FIXED = [
  'HOST',
  'DATA_DIR',
  'ISOLATION_MODE',
  'DOCKER_HOST',
  'DOCKER_TLS_VERIFY',
  'DOCKER_TLS',
  'DOCKER_CERT_PATH',
  'PODMAN_HOST',
  'CONTAINER_HOST',
  'TIERS_FILE',
];
const SECRET = /SECRET|PASSWORD|TOKEN|KEY|CREDENTIAL/;

const used = new Map<string, string[]>();
for (const [, name, fallback] of compose.matchAll(/\$\{(\w+)(?::-([^}]*))?\}/g)) {
  used.set(name!, [...(used.get(name!) ?? []), fallback ?? '']);
}
const documented = new Map(
  [...example.matchAll(/^#?([A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [name!, value!]),
);

describe('the files of the stack', () => {
  test('.env.example has every variable of docker-compose.yaml and no other', () => {
    expect([...documented.keys()].sort()).toEqual([...used.keys()].sort());
  });

  test('.env.example shows the defaults, each with a word on it, and sets nothing', () => {
    expect(example).not.toMatch(/^[^#\n]/m);
    expect(example).not.toMatch(/\n\n#[A-Z_]+=/);
    const config = parseConfig({});
    for (const [name, shown] of documented) {
      const ofCompose = used.get(name)!.find((fallback) => fallback !== '');
      const ofGateway = name in config ? config[name as keyof typeof config] : undefined;
      const fallback = ofCompose ?? (typeof ofGateway === 'object' ? '' : (ofGateway ?? ''));
      expect(`${name}=${shown}`).toBe(`${name}=${fallback}`);
    }
  });

  test('every setting of the gateway can be made, but for what the stack decides', () => {
    const missing = Object.keys(settings.shape).filter((name) => !used.has(name) && !FIXED.includes(name));
    expect(missing, 'to be added to docker-compose.yaml and .env.example, or to FIXED here').toEqual([]);
  });

  test('no secret has a default', () => {
    for (const [name, fallbacks] of used) {
      if (SECRET.test(name)) expect([name, ...new Set(fallbacks)]).toEqual([name, '']);
    }
    for (const [name, value] of documented) if (SECRET.test(name)) expect([name, value]).toEqual([name, '']);
    const given = [...`${compose}\n${dockerfile}`.matchAll(/^[\s-]*(?:ENV |ARG )?(\w+)[:=] *(.+)$/gm)];
    const fixed = given.filter(([, name, value]) => SECRET.test(name!) && !value!.includes('${'));
    expect(fixed.map(([, name, value]) => `${name}: ${value}`)).toEqual([
      // Not a secret: where the kernel makes a new random one at each look.
      'POSTGRES_PASSWORD_FILE: /proc/sys/kernel/random/uuid',
    ]);
    for (const text of [compose, example, dockerfile]) {
      expect(text).not.toMatch(/:\/\/[^\s/]*:[^\s/]*@/);
      expect(text).not.toMatch(/(?=[A-Za-z+=]*\d)(?=[^A-Z]*[A-Z])[A-Za-z0-9+=]{24,}/);
    }
  });

  test('mount nothing of the host but the socket', () => {
    const mounts = [...compose.matchAll(/^ {6}- (\S+):(\/\S+)$/gm)].map(([, from, to]) => `${from}:${to}`);
    const ofHost = mounts.filter((mount) => !/^[a-z]/.test(mount));
    expect(ofHost.join()).toMatch(/^\$\{DOCKER_SOCKET:-\/var\/run\/docker\.sock\}:\/var\/run\/docker\.sock$/);
  });

  test('the image takes its bases from arguments and runs as a number, in exec form', () => {
    expect(dockerfile).toMatch(/^ARG BASE=node:24-bookworm-slim$/m);
    expect(dockerfile.match(/^FROM .*/gm)?.join()).toMatch(/^FROM \$\{BUILD_BASE\} AS \w+,FROM \$\{BASE\}$/);
    expect(dockerfile).toMatch(/^USER \d+:\d+$/m);
    expect(dockerfile).toMatch(/^STOPSIGNAL SIGTERM$/m);
    expect(dockerfile).toMatch(/^CMD \["node", .*"serve"\]$/m);
  });

  test('the build sees no more than the image is made of', () => {
    const allowed = [...read('.dockerignore').matchAll(/^!(.+)$/gm)].map(([, name]) => name!);
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, names]) =>
      names!.split(' '),
    );
    expect(allowed.filter((name) => name !== 'deploy').sort()).toEqual(copied.sort());
  });
});

describe('what the container says of the Docker socket', () => {
  const script = join(ROOT, 'deploy/container/socket-access.js');
  const start = (host: string, ...as: string[]) => {
    const command = [...as, process.execPath, '--import', script, '--eval', 'console.log("serving")'];
    return run(command, { env: { PATH: process.env.PATH!, DOCKER_HOST: host } });
  };

  test('nothing, when it can be used or is not one', async () => {
    expect(await start('tcp://127.0.0.1:2375')).toMatchObject({ code: 0, stdout: 'serving\n', stderr: '' });
  });

  test('which variable names it, when it is not there', async () => {
    using dir = new TempDir();
    for (const host of [`unix://${dir.path}`, `unix://${dir.path}/none`]) {
      const ended = await start(host);
      expect(ended).toMatchObject({ code: 1, stdout: '' });
      expect(ended.stderr).toContain('Set DOCKER_SOCKET in .env');
    }
  });
});
